"""The normalised area over the perturbation curve: by hand, against every order, and what is left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Any

import numpy as np
import pytest
import xarray as xr

import tokimp as ti
from tests.analysis.against_chance.games import GameScorer, random_game, random_scores
from tokimp.analysis.naopc.naopc import Naopc
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import Answer, Joint
from tokimp.contracts.scorer import Scorer
from tokimp.errors import AnalysisError
from tokimp.results.analysis_nodes import analysis_node
from tokimp.testing import AdditiveScorer, check_analysis, toy_chain
from tokimp.testing.toy_result import toy_result
from tokimp.testing.toy_run import toy_run, toy_run_chains, toy_run_scorer, without_cell

MASK: dict[str, Any] = {"replacement": "."}


def naopc(
    importances: Mapping[str, Sequence[Any]], chains: Sequence[TokenizedChain], scorer: Scorer, **options: Any
) -> xr.Dataset:
    """Return the analysis of toy chains."""
    result = toy_result(importances, chains, scorer, "answer")
    analyzed = ti.analyze(result, Naopc(**{**MASK, **options}), scorer=scorer, chains=chains)
    (node,) = analyzed["analysis"].children.values()
    return node.to_dataset()


def test_two_units_by_hand() -> None:
    """With .9, .5 without the first, .8 without the second and .1 without both, the areas are .6 and .45."""
    scorer = GameScorer(np.log([0.1, 0.5, 0.8, 0.9])[[0, 2, 1, 3]])
    importances = {"first": [[2.0, 1.0]], "second": [[1.0, 2.0]]}
    node = (
        naopc(importances, [toy_chain("ab")], scorer, measure="answer_probability").sel(operator="delete").isel(chain=0)
    )
    assert node["area"].sel(side="comprehensiveness").to_numpy() == pytest.approx([0.6, 0.45])
    assert node["value"].sel(side="comprehensiveness").to_numpy().tolist() == [1.0, 0.0]
    assert node["value"].sel(side="sufficiency").to_numpy().tolist() == [0.0, 1.0]
    assert (float(node["lower"]), float(node["upper"])) == pytest.approx((0.45, 0.6))
    # The first place is the least important one for position.
    assert node["position_value"].sel(side="comprehensiveness") == 0


@pytest.mark.parametrize("n_units", range(2, 7))
@pytest.mark.parametrize("exact_units", [0, 12])
def test_every_order_is_the_twin(n_units: int, exact_units: int) -> None:
    """Exact, and with a wide beam, a value is where the order's area lies among those of all permutations."""
    scorer, chain = random_game(n_units, seed=3)
    scores = random_scores(n_units, seed=3)
    node = naopc({"mine": [scores]}, [chain], scorer, measure="answer", exact_units=exact_units, beam=20)

    def area(order: Sequence[int]) -> float:
        everything = set(range(n_units))
        full = scorer.value(everything)
        return float(np.mean([full - scorer.value(everything - set(order[: k + 1])) for k in range(n_units)]))

    areas = [area(order) for order in permutations(range(n_units))]
    most_first = np.argsort(-scores).tolist()
    for side, order in (("comprehensiveness", most_first), ("sufficiency", most_first[::-1])):
        twin = (area(order) - min(areas)) / (max(areas) - min(areas))
        # A mask that adds nothing is the same game as deletion.
        np.testing.assert_allclose(node["value"].sel(side=side).to_numpy().ravel(), [twin, twin], atol=1e-12)
    assert bool(node["exact"][0]) == (exact_units == 12)


def test_what_is_compared_is_never_outside_the_limits() -> None:
    """With a beam of one, which misses the best order, no estimator and no random order is above 1 or below 0."""
    games = [random_game(6, seed) for seed in range(8)]
    for scorer, chain in games:
        rows = {str(seed): [random_scores(6, seed)] for seed in range(30)}
        node = naopc(rows, [chain], scorer, exact_units=0, beam=1, operators=["delete"])
        for name in ("value", "uniform_value", "position_value"):
            assert node[name].min() >= 0
            assert node[name].max() <= 1


def test_chains_whose_order_hardly_matters_are_counted() -> None:
    """A chain whose limits are closer than asked for, and one that was not ranked to the end, have no value."""
    contributions = {"a": 1e-4, "b": 2e-4, "c": 1.0, "d": 2.0, "e": 0.5}
    scorer, chains = AdditiveScorer(contributions), [toy_chain("ab", id="flat"), toy_chain("cde", id="whole")]
    stopped = ti.load_estimator("greedy:keep_ratio=0.7")
    ranked = [[1.0, 2.0], [1.0, 2.0, 3.0]]
    rows: dict[str, list[Any]] = {
        "mine": ranked,
        "stopped": [stopped.estimate(chain, scorer, Joint()) for chain in chains],
        "silent": ranked,
    }
    result = toy_result(rows, chains, scorer, "answer")
    for index in range(2):
        result = without_cell(result, index, "silent")
    analyzed = ti.analyze(result, Naopc(measure="answer", operators=["delete"]), scorer=scorer, chains=chains)
    node = analysis_node(analyzed, "naopc").sel(side="sufficiency", operator="delete")
    assert node["chains_used"].to_numpy().tolist() == [1, 0, 0]
    assert node["chains_absent"].to_numpy().tolist() == [0, 0, 2]
    by_reason = node["undefined"].transpose("reason", "estimator").to_numpy()
    assert by_reason.tolist() == [[0, 1, 0], [1, 1, 0]]
    assert np.isnan(node["value"].isel(chain=0)).all()


def test_the_best_order_of_an_additive_scorer_is_that_of_its_shares() -> None:
    """Leave-one-out finds it: 1 on one side and 0 on the other, by every operator, better than chance and position."""
    generator, letters = np.random.default_rng(0), "abcdefgh"
    scorer = AdditiveScorer({letter: 0.3 * place - 1 for place, letter in enumerate(letters)})
    chains = [toy_chain("".join(generator.permutation(list(letters))), id=f"c{number}") for number in range(8)]
    importances = [ti.load_estimator("leave_one_out").estimate(chain, scorer, Answer()) for chain in chains]
    analysis = Naopc(operators=["delete", "knockout", "mask"], exact_units=4, measure="answer", **MASK)
    result = toy_result({"leave_one_out": importances}, chains, scorer, "answer")
    analyzed = ti.analyze(result, analysis, scorer=scorer, chains=chains)
    (name,) = analyzed["analysis"].children
    node = analysis_node(analyzed, name)
    np.testing.assert_allclose(node["mean"].sel(side="comprehensiveness"), 1, atol=1e-12)
    np.testing.assert_allclose(node["mean"].sel(side="sufficiency"), 0, atol=1e-12)
    for table, operators in zip(analysis.tables(analyzed)[2::3], ["delete, knockout and mask"] * 2, strict=True):
        assert f"by {operators}, leave_one_out is better than random orders" in str(table.caption)
        assert "leave_one_out is better than position too" in str(table.caption)


def test_it_keeps_the_contract() -> None:
    """The analysis passes the check that every analysis must pass."""
    scorer, chains = toy_run_scorer(), toy_run_chains(3, 4)
    check_analysis(Naopc(n_uniform=1, exact_units=2, beam=2, **MASK), toy_run(chains, scorer), scorer, chains)


def test_intervals_feet_and_sides() -> None:
    """The wide interval of two chains is cut at 0 and 1; the foot says how limits were found; sufficiency is low."""
    scorer, chains = (
        AdditiveScorer({"a": 1.0, "b": 2.0, "c": 3.0}),
        [toy_chain("abc", id="x"), toy_chain("cab", id="y")],
    )
    result = toy_result({"mine": [[1.0, 3.0, 2.0], [1.0, 2.0, 3.0]]}, chains, scorer, "answer")
    for exact_units, foot in ((3, "All limits are exact."), (2, "The limits of 2 of them are from a beam search.")):
        analysis = Naopc(measure="answer", operators=["delete"], exact_units=exact_units)
        analyzed = ti.analyze(result, analysis, scorer=scorer, chains=chains)
        (name,) = analyzed["analysis"].children
        node = analysis_node(analyzed, name)
        assert node["exact"].to_numpy().tolist() == [exact_units == 3] * 2
        assert foot in str(analysis.tables(analyzed)[0].caption)
        assert dict(zip(node["side"].to_numpy(), node["better"].to_numpy(), strict=True)) == {
            "comprehensiveness": "high",
            "sufficiency": "low",
        }
        for side in ("comprehensiveness", "sufficiency"):
            part = node.sel(side=side, operator="delete", estimator="mine")
            assert (part["low"].item(), part["high"].item()) == (0, 1)
            assert 0 < part["mean"].item() < 1


def test_a_beam_of_nothing_is_refused() -> None:
    """It would follow no order at all."""
    with pytest.raises(AnalysisError, match="beam"):
        naopc({"mine": [[1.0, 2.0]]}, [toy_chain("ab")], AdditiveScorer({}), beam=0)
