"""Shapley values are means over orders of units, whichever way they are computed."""

from __future__ import annotations

from itertools import permutations
from math import comb

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokimp_leave_one_out import LeaveOneOut
from tokimp_shapley import Shapley
from tokimp_shapley.kernel import kernel_subsets, kernel_weight
from tokimp_shapley.permutations import exact_values, marginal_gains, prefixes

import tokimp as ti
from tokimp.contracts.objective import Answer, Joint
from tokimp.contracts.subset_scores import every_subset
from tokimp.contracts.tokenization import tokenize_chain
from tokimp.errors import EstimatorError
from tokimp.testing import AdditiveScorer, check_estimator, toy_chain

SHARES = {"a": 0.5, "b": -0.25, "c": 2.0, " ": 0.125, ".": 1.0}


class Game(AdditiveScorer):
    """The answer's log-likelihood is the worth of the set of tokens kept, whose contributions are 1, 2, 4, ..."""

    def __init__(self, worth: dict[tuple[int, ...], float] | list[float], units: int) -> None:
        super().__init__({chr(97 + unit): float(2**unit) for unit in range(units)})
        self.worth = worth

    def answer_loglik(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Look the set up by its number."""
        return torch.tensor(self.worth[int(embeddings[:, 0].sum())], dtype=torch.float64)  # type: ignore[index] # a list


def three() -> tuple[Game, list[float]]:
    """Return the game 4 [1, 2 in S] + [3 in S] + 2 [2, 3 in S], and its values."""
    worth = [4 * (bits & 3 == 3) + (bits >> 2 & 1) + 2 * (bits & 6 == 6) for bits in range(8)]
    return Game([float(value) for value in worth], 3), [2.0, 3.0, 2.0]


def by_definition(worth: list[float], units: int) -> list[float]:
    """Return the mean gain of each unit over every order."""
    gains = np.zeros(units)
    orders = list(permutations(range(units)))
    for order in orders:
        bits = 0
        for unit in order:
            gains[unit] += worth[bits | 1 << unit] - worth[bits]
            bits |= 1 << unit
    return [float(gain) for gain in gains / len(orders)]


def test_two_units_by_hand() -> None:
    """Of the worths 0, 1, 2 and 5 the values are 2 and 3, and leave-one-out gives 3 and 4."""
    game = Game([0.0, 1.0, 2.0, 5.0], 2)
    assert Shapley().estimate(toy_chain("ab"), game, Answer()).scores.tolist() == [2.0, 3.0]
    assert LeaveOneOut().estimate(toy_chain("ab"), game, Answer()).scores.tolist() == [3.0, 4.0]


@pytest.mark.parametrize(
    "estimator",
    [Shapley(), Shapley(permutations=1), Shapley("kernel"), Shapley("kernel", evaluations=6)],
    ids=lambda estimator: estimator.label,
)
def test_three_units_by_hand(estimator: Shapley) -> None:
    """Exactly, by one order and its reverse, and by the kernel, the values of a game of pairs are 2, 3 and 2."""
    game, values = three()
    found = estimator.estimate(toy_chain("abc"), game, Answer())
    np.testing.assert_allclose(found.scores, values, atol=1e-9)
    assert LeaveOneOut().estimate(toy_chain("abc"), game, Answer()).scores.tolist() == [4.0, 6.0, 3.0]


def test_kernel_weights_by_hand() -> None:
    """Of three units all six subsets weigh a third."""
    subsets, weights = kernel_subsets(3, 6, np.random.default_rng(0))
    assert sorted(subsets) == [(0,), (0, 1), (0, 2), (1,), (1, 2), (2,)]
    np.testing.assert_allclose(weights, 1 / 3)


@given(worth=st.lists(st.floats(-50, 50), min_size=16, max_size=16))
@settings(max_examples=25)
def test_all_ways_agree_where_all_subsets_are_scored(worth: list[float]) -> None:
    """The definition over all orders, the sum over subsets and the kernel's least squares are the same numbers."""
    game, chain, expected = Game(worth, 4), toy_chain("abcd"), by_definition(worth, 4)
    subsets = every_subset(chain)
    by_subset = {subset: worth[sum(1 << unit for unit in subset)] for subset in subsets}
    np.testing.assert_allclose(exact_values(4, by_subset), expected, atol=1e-9)
    orders = [np.array(order) for order in permutations(range(4))]
    gains = np.mean([marginal_gains(order, by_subset) for order in orders], axis=0)
    np.testing.assert_allclose(gains, expected, atol=1e-9)
    kernel = Shapley("kernel", evaluations=14)
    np.testing.assert_allclose(kernel.estimate(chain, game, Answer()).scores, expected, atol=1e-7)
    found = Shapley().estimate(chain, game, Answer())
    np.testing.assert_allclose(found.scores, expected, atol=1e-9)
    assert dict(found.diagnostics) == {"subsets": 16, "exact": 1, "standard_error_mean": 0, "standard_error_max": 0}


@given(
    text=st.text("abc. ", min_size=1, max_size=12).filter(str.strip),
    unit=st.sampled_from(["token", "word", "sentence"]),
    method=st.sampled_from(["permutation", "kernel"]),
    seed=st.integers(0, 3),
)
@settings(max_examples=40)
def test_shares_that_add_up_are_the_values(text: str, unit: str, method: str, seed: int) -> None:
    """Whatever is drawn, the value of an additive unit is its share, and the values add up to what all are worth."""
    chain = toy_chain(text, unit=unit)
    estimator = Shapley(method, 2, evaluations=60, seed=seed)
    found = estimator.estimate(chain, AdditiveScorer(SHARES), Answer()).scores
    np.testing.assert_allclose(found, [sum(SHARES[text[at]] for at in tokens) for tokens in chain.units], atol=1e-9)


@given(seed=st.integers(0, 50), antithetic=st.booleans())
@settings(max_examples=20)
def test_sampled_values_add_up_to_what_all_units_are_worth(seed: int, antithetic: bool) -> None:
    """The sum is that of all units less that of none, for any number of orders, of any game."""
    worth = np.random.default_rng(seed).normal(size=2**9).tolist()
    found = Shapley(permutations=3, antithetic=antithetic, seed=seed).estimate(
        toy_chain("abcdefghi"), Game(worth, 9), Answer()
    )
    assert found.diagnostics["exact"] == 0
    assert found.scores.sum() == pytest.approx(worth[-1] - worth[0], abs=1e-9)


def test_the_standard_error_says_how_far_the_values_are_off() -> None:
    """The deviations from the exact values are about as large as the standard errors, which fall with more orders."""
    worth = np.random.default_rng(1).normal(size=2**9).tolist()
    chain, game = toy_chain("abcdefghi"), Game(worth, 9)
    subsets = every_subset(chain)
    exact = exact_values(9, {subset: worth[sum(1 << unit for unit in subset)] for subset in subsets})
    few, many = (Shapley(permutations=count).estimate(chain, game, Answer()) for count in (4, 28))
    assert many.diagnostics["standard_error_mean"] < 0.6 * few.diagnostics["standard_error_mean"]
    deviation = np.abs(many.scores - exact).mean()
    assert 0.3 < deviation / many.diagnostics["standard_error_mean"] < 2
    alone = Shapley(permutations=1).estimate(chain, game, Answer())
    assert np.isnan(alone.diagnostics["standard_error_mean"])


def test_more_orders_begin_with_the_same() -> None:
    """The k-th order depends on seed, chain and k, so a longer run asks about what a shorter one asked about."""
    asked = []

    class Watched(AdditiveScorer):
        def score_deletions(self, chain, kept, candidates, objective):  # type: ignore[no-untyped-def] # as of the base
            asked.append({tuple(candidate) for candidate in candidates})
            return super().score_deletions(chain, kept, candidates, objective)

    for count in (2, 5):
        Shapley(permutations=count).estimate(toy_chain("abcdefghijkl"), Watched(SHARES), Answer())
    assert asked[0] < asked[1]


def test_the_cost_is_that_of_the_new_subsets() -> None:
    """A pair of orders of n units asks about none, all, and 2n - 2 more."""
    found = Shapley(permutations=1).estimate(toy_chain("abcdefghijkl"), AdditiveScorer(SHARES), Answer())
    assert found.diagnostics["subsets"] == 2 * 12 - 2 + 2
    plain = Shapley(permutations=1, antithetic=False).estimate(
        toy_chain("abcdefghijkl"), AdditiveScorer(SHARES), Answer()
    )
    assert plain.diagnostics["subsets"] == 12 - 1 + 2


@given(units=st.integers(2, 9), evaluations=st.integers(2, 200), seed=st.integers(0, 3))
@settings(max_examples=60)
def test_the_kernel_fills_sizes_from_both_ends(units: int, evaluations: int, seed: int) -> None:
    """It asks about no more than it may, each once, and where it draws, all weigh together what the kernel does."""
    subsets, weights = kernel_subsets(units, evaluations, np.random.default_rng(seed))
    assert len(set(subsets)) == len(subsets) <= evaluations
    assert all(0 < len(subset) < units for subset in subsets)
    sizes = [len(subset) for subset in subsets]
    complete = {size for size in sizes if sizes.count(size) == comb(units, size)}
    if 1 in complete:
        at = [weight for weight, size in zip(weights, sizes, strict=True) if size == 1]
        np.testing.assert_allclose(at, kernel_weight(units, 1))
    if len(subsets) >= 2 * units and (set(sizes) - complete or len(complete) == units - 1):
        total = sum((units - 1) / (size * (units - size)) for size in range(1, units))
        assert weights.sum() == pytest.approx(total)


def test_prefixes_of_an_order() -> None:
    """An order goes from none to all, one unit at a time."""
    assert prefixes(np.array([1, 0])) == [(), (1,), (0, 1)]


def test_one_unit_is_worth_all() -> None:
    """A chain of one unit has the value of its whole reasoning, by either method."""
    for method in ("permutation", "kernel"):
        found = Shapley(method).estimate(toy_chain("c"), AdditiveScorer(SHARES), Answer())
        assert found.scores.tolist() == [2.0]


def test_the_run_s_objective_can_be_asked_for() -> None:
    """With ``of=objective`` and joint, a unit also pays for its own log-probability."""
    found = Shapley(of="objective").estimate(toy_chain("abc"), AdditiveScorer(SHARES), Joint())
    np.testing.assert_allclose(found.scores, [-0.5, -1.25, 1.0], atol=1e-12)


@pytest.mark.parametrize(
    "parameters", [{"method": "lime"}, {"permutations": 0}, {"evaluations": 1}, {"operator": "shuffle"}]
)
def test_what_is_not_allowed_is_refused(parameters: dict[str, object]) -> None:
    """A parameter outside its constraint is named before any work."""
    with pytest.raises(EstimatorError, match=next(iter(parameters))):
        Shapley(**parameters).validate_parameters()  # type: ignore[arg-type] # wrong on purpose


@pytest.mark.parametrize(
    "estimator",
    [
        Shapley(permutations=2),
        Shapley("kernel", evaluations=100),
        Shapley(permutations=2, of="objective"),
        Shapley(permutations=2, operator="knockout"),
        Shapley(permutations=2, operator="mask", replacement="."),
    ],
    ids=lambda estimator: estimator.label,
)
def test_it_keeps_the_contract(estimator: Shapley) -> None:
    """Shapley values pass the check that every estimator must pass, in every unit."""
    check_estimator(estimator)


@pytest.mark.parametrize(
    "estimator", [Shapley(permutations=2), Shapley(method="kernel", evaluations=80), Shapley(operator="mask")]
)
def test_it_knows_about_what_it_takes(estimator: Shapley) -> None:
    """Positions are foretold to a fifth where shortened chains share keys and values, and not at all for masks."""
    scorer = ti.load_scorer("tiny", device="cpu")
    chain = tokenize_chain(ti.demo_chains(limit=1)[0], scorer.tokenizer, "plain", "word")
    expected = estimator.expected_positions(chain, Answer())
    if estimator.operator == "mask":
        assert expected is None
        return
    before = scorer.tokens_forwarded
    estimator.estimate(chain, scorer, Answer())
    assert expected == pytest.approx(scorer.tokens_forwarded - before, rel=0.2)
