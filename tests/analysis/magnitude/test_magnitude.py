"""The analysis of magnitudes: a twin on random games, what holds by construction, and what is left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy import stats
from scipy.integrate import trapezoid

import tokimp as ti
from tests.analysis.against_chance.games import GameScorer, random_game, random_scores
from tokimp.analysis.magnitude.magnitude import Magnitude
from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import Answer, Joint
from tokimp.contracts.scorer import Scorer
from tokimp.results.analysis_nodes import analysis_node
from tokimp.testing import AdditiveScorer, check_analysis, toy_chain
from tokimp.testing.toy_result import toy_result
from tokimp.testing.toy_run import toy_run, toy_run_chains, toy_run_scorer

DELETE: dict[str, Any] = {"operators": ["delete"]}


def magnitude(
    importances: Mapping[str, Sequence[Any]], chains: Sequence[TokenizedChain], scorer: Scorer, **options: Any
) -> xr.Dataset:
    """Return the analysis of toy chains."""
    result = toy_result(importances, chains, scorer, "answer")
    analyzed = ti.analyze(result, Magnitude(**{"replacement": ".", **options}), scorer=scorer, chains=chains)
    return analysis_node(analyzed, "magnitude")


def slow(scorer: GameScorer, scores: FloatArray, order: list[int]) -> dict[str, float]:
    """Return all scores of an order, most important first, with loops over its versions."""
    n_units = len(order)
    full, empty = scorer.value(range(n_units)), scorer.value([])
    positive = [max(0.0, float(scores[unit])) for unit in order]
    falling, rising, falling_mas, rising_mas, lowest, highest = [], [], [], [], 1.0, 0.0
    for step in range(n_units + 1):
        lowest = min(lowest, (scorer.value(order[step:]) - empty) / (full - empty))
        highest = max(highest, (scorer.value(order[:step]) - empty) / (full - empty))
        down, up = min(1.0, max(0.0, lowest)), min(1.0, max(0.0, highest))
        left, there = sum(positive[step:]) / sum(positive), sum(positive[:step]) / sum(positive)
        falling.append(down)
        rising.append(up)
        falling_mas.append(min(1.0, max(0.0, down + abs(down - left))))
        rising_mas.append(min(1.0, max(0.0, up - abs(up - there))))
    ascending = [scorer.value(order[n_units - step :]) for step in range(n_units + 1)]
    changes = [(scorer.value(set(order) - {unit}) - full) ** 2 for unit in range(n_units)]

    def area(curve: list[float]) -> float:
        low, high = min(curve), max(curve)
        return float(trapezoid([(value - low) / (high - low) for value in curve], dx=1 / n_units))

    return {
        "deletion_response": float(trapezoid(falling, dx=1 / n_units)),
        "deletion_mas": area(falling_mas),
        "insertion_response": float(trapezoid(rising, dx=1 / n_units)),
        "insertion_mas": area(rising_mas),
        "monotonicity": float(np.mean([b >= a for a, b in pairwise(ascending)])),
        "monotonicity_correlation": float(stats.spearmanr(np.abs(scores), changes).statistic)
        if n_units > 2
        else np.nan,
    }


@pytest.mark.parametrize("n_units", range(2, 7))
@pytest.mark.parametrize("seed", range(2))
def test_every_score_of_a_random_game_is_its_slow_twin(n_units: int, seed: int) -> None:
    """The estimator's own order, and position with the estimator's importances in the order of places."""
    scorer, chain = random_game(n_units, seed)
    # The full chain is the likeliest, and the chain without reasoning the least likely.
    scorer.table[-1], scorer.table[0] = 0.0, -4.0
    scores = random_scores(n_units, seed)
    scores[0] = abs(scores[0])
    node = magnitude({"mine": [scores]}, [chain], scorer, negligible=0.0).isel(chain=0, estimator=0)
    for operator in ("delete", "mask"):
        found = {name: float(node["value"].sel(operator=operator, score=name)) for name in node["score"].to_numpy()}
        assert found == pytest.approx(slow(scorer, scores, np.argsort(-scores).tolist()), nan_ok=True)
        position = node["position_value"].sel(operator=operator)
        twin = slow(scorer, np.sort(scores), list(range(n_units))[::-1])
        assert {name: float(position.sel(score=name)) for name in twin} == pytest.approx(twin, nan_ok=True)


def test_leave_one_out_has_the_correlation_of_one() -> None:
    """On the embedded model, to the last bit: the analysis makes the very call that leave-one-out makes."""
    scorer = ti.load_scorer("tiny")
    chains = ti.load_chains("tokimp/chains/datasets/demo_chains.jsonl")[:3]
    result = ti.compare(chains, scorer, ["leave_one_out"], objective="answer", unit="sentence")
    analyzed = ti.analyze(result, Magnitude(n_uniform=1, operators=["delete"]), scorer=scorer)
    (name,) = analyzed["analysis"].children
    value = analysis_node(analyzed, name)["value"].sel(score="monotonicity_correlation")
    np.testing.assert_allclose(value, 1)


def test_the_right_sizes_are_better_than_the_right_order_alone() -> None:
    """Two estimators order the shares rightly; the one whose sizes are the shares has the better aligned scores."""
    shares = {"a": 0.1, "b": 0.3, "c": 0.6, "d": 5.0}
    scorer, chains = AdditiveScorer(shares), [toy_chain("abcd")]
    node = magnitude({"shares": [list(shares.values())], "ranks": [[1.0, 2.0, 3.0, 4.0]]}, chains, scorer, **DELETE)
    value = node["value"].isel(operator=0, chain=0)
    for kind in ("deletion", "insertion"):
        response, mas = (value.sel(score=f"{kind}_{name}") for name in ("response", "mas"))
        assert response.sel(estimator="shares") == response.sel(estimator="ranks")
        better = mas.sel(estimator="shares") - mas.sel(estimator="ranks")
        assert better < 0 if kind == "deletion" else better > 0
        # Sizes that are the shares need no correction.
        assert float(mas.sel(estimator="shares")) == pytest.approx(float(response.sel(estimator="shares")))


def test_random_orders_have_the_estimator_s_sizes() -> None:
    """An estimator that gives all of its importance to one unit is compared with that much on another unit."""
    scorer, chains = AdditiveScorer({"a": 4.0, "b": 2.0, "c": 1.0}), [toy_chain("abc")]
    node = magnitude({"one": [[5.0, 0.0, -1.0]], "other": [[5.0, 4.0, 3.0]]}, chains, scorer, n_uniform=50, **DELETE)
    draws = node["uniform_value"].sel(score="deletion_mas").isel(operator=0, chain=0)
    assert not np.allclose(draws.sel(estimator="one"), draws.sel(estimator="other"))
    responses = node["uniform_value"].sel(score="deletion_response").isel(operator=0, chain=0)
    np.testing.assert_allclose(responses.sel(estimator="one"), responses.sel(estimator="other"))
    own = node["value"].sel(score="deletion_response", estimator="one").item()
    assert responses.sel(estimator="one").min() == pytest.approx(own)


def test_what_has_no_value_is_counted_by_its_reason() -> None:
    """Harmful reasoning, no positive importance, two units and a ranking that stopped have each their own reason."""
    scorer = AdditiveScorer({"a": 1.0, "b": 2.0, "c": 3.0, "x": -1.0, "y": -2.0, "z": -3.0})
    chains = [toy_chain("abc", id="good"), toy_chain("xyz", id="harmful"), toy_chain("ab", id="two")]
    stopped = ti.load_estimator("greedy:keep_ratio=0.7")
    importances: dict[str, list[Any]] = {
        "mine": [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [1.0, 2.0]],
        "negative": [[-3.0, -2.0, -1.0], [-3.0, -2.0, -1.0], [-2.0, -1.0]],
        "stopped": [stopped.estimate(chain, scorer, Joint()) for chain in chains],
    }
    node = magnitude(importances, chains, scorer, **DELETE).isel(operator=0)
    assert not node["chains_absent"].any()
    counts = node["undefined"].to_numpy()  # reason, score, estimator
    stopped_early, no_help, no_size, no_correlation = counts
    assert (stopped_early == [0, 0, 2]).all()
    assert (no_help[:4] == [1, 1, 0]).all()
    assert not no_help[4:].any()
    assert no_size.tolist() == [[0, 0, 0], [0, 2, 0], [0, 0, 0], [0, 2, 0], [0, 0, 0], [0, 0, 0]]
    assert no_correlation.tolist() == [*[[0, 0, 0]] * 5, [1, 1, 1]]
    assert (node["chains_used"].to_numpy() + counts.sum(axis=0) == 3).all()


def test_longer_chains_go_in_steps() -> None:
    """Twelve units in four steps ask about four versions in place of twelve, beside the single deletions."""
    letters = "abcdefghijkl"
    scorer = AdditiveScorer({letter: 0.1 * place for place, letter in enumerate(letters)})
    exact = scorer.contribution([ord(letter) for letter in letters]).numpy()
    nodes = [
        magnitude({"mine": [exact]}, [toy_chain(letters)], scorer, steps=steps, n_uniform=1, **DELETE)
        for steps in (4, 12)
    ]
    assert nodes[0].attrs["tokens_forwarded"] < nodes[1].attrs["tokens_forwarded"]
    for node in nodes:
        assert node["value"].sel(score="monotonicity").item() == 1.0
        assert node["value"].sel(score="monotonicity_correlation").item() == pytest.approx(1.0)


def test_what_is_found_concludes_in_a_sentence() -> None:
    """On eight chains of known shares the right sizes are told from random orders and position."""
    generator, letters = np.random.default_rng(1), "abcdefghi"
    scorer = AdditiveScorer({letter: 0.2 * place for place, letter in enumerate(letters)})
    chains = [toy_chain("".join(generator.permutation(list(letters))), id=f"c{number}") for number in range(8)]
    exact = [ti.load_estimator("leave_one_out").estimate(chain, scorer, Answer()) for chain in chains]
    analysis = Magnitude(replacement=".")
    analyzed = ti.analyze(
        toy_result({"right": exact}, chains, scorer, "answer"), analysis, scorer=scorer, chains=chains
    )
    caption = str(analysis.tables(analyzed)[1].caption)
    assert "by delete and mask, right is better than random orders; right is better than position" in caption


def test_it_keeps_the_contract() -> None:
    """The analysis passes the check that every analysis must pass."""
    scorer, chains = toy_run_scorer(), toy_run_chains(3, 5)
    check_analysis(Magnitude(n_uniform=1, replacement="."), toy_run(chains, scorer), scorer, chains)
