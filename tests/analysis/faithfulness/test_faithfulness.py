"""Faithfulness: closed forms, a slow twin on a real decoder, and what must not change the numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import tokimp as ti
from tokimp.analysis.faithfulness.faithfulness import Faithfulness
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.analysis import AnalysisInput, Scoring
from tokimp.contracts.estimator import Importance, Trajectory
from tokimp.contracts.registry import load_objective
from tokimp.contracts.subset_scores import SubsetMemory
from tokimp.errors import AnalysisError
from tokimp.results.analysis_nodes import analysis_node
from tokimp.results.by_chain import select
from tokimp.results.joining import concat
from tokimp.testing import AdditiveScorer, toy_chain
from tokimp.testing.toy_result import toy_result

CONTRIBUTIONS = {letter: float(index) for index, letter in enumerate("abcdefghij", start=1)}
# Ten letters add at most 100 nats: from here the answer's log-likelihood stays below 0, as a result needs it.
FAR_BELOW = -110.0
FEW: dict[str, Any] = {"n_uniform": 2}


def faithfulness(
    importances: Mapping[str, Sequence[Any]],
    chains: Sequence[TokenizedChain],
    scorer: AdditiveScorer | None = None,
    objective: str = "joint",
    **options: Any,
) -> xr.Dataset:
    """Return the analysis of toy chains, scored in closed form."""
    scorer = scorer or AdditiveScorer(CONTRIBUTIONS)
    result = toy_result(importances, chains, scorer, objective)
    analyzed = ti.analyze(result, Faithfulness(**{**FEW, **options}), scorer=scorer, chains=chains)
    return analysis_node(analyzed, "faithfulness")


def values(node: xr.Dataset, measure: str, curve: str, estimator: str = "mine") -> list[float]:
    """Return one curve of the first chain."""
    found: list[float] = node["value"].sel(measure=measure, curve=curve, estimator=estimator)[:, 0].to_numpy().tolist()
    return found


def test_the_curves_of_known_contributions_by_hand() -> None:
    """Of contributions 1, 2, 3, 4 above -10 nats, ranked rightly, every measure has its hand-computed value."""
    node = faithfulness({"mine": [[1, 2, 3, 4]]}, [toy_chain("abcd")], keep_ratios=[0.0, 0.5, 1.0])
    assert values(node, "answer", "least_first") == [-10, -3, 0]
    assert values(node, "answer", "most_first") == [-10, -7, 0]
    # Each reasoning token kept has -1 nat, and the answer is one token.
    assert values(node, "joint", "least_first") == [-10, -5, -4]
    assert values(node, "joint_per_token", "least_first") == pytest.approx([-10, -5 / 3, -4 / 5])
    assert values(node, "answer_probability", "most_first") == pytest.approx(np.exp([-10, -7, 0]).tolist())
    area = node["area"].sel(measure="answer", estimator="mine")[:, 0].to_numpy().tolist()
    assert area == pytest.approx([-4.0, -6.0])


def test_only_what_is_about_the_same_tokens_all_along_has_an_area() -> None:
    """Joint likelihoods, and those of the reasoning, are about other tokens at each ratio; the answer's are not."""
    ratios = [0.0, 0.5, 1.0]
    node = faithfulness({"mine": [[1, 2, 3, 4]]}, [toy_chain("abcd")], objective="reasoning", keep_ratios=ratios)
    same = {name: name.startswith("answer") for name in map(str, node["measure"].to_numpy())}
    assert same == {name: bool(node["comparable"].sel(measure=name)) for name in same}
    for measure, is_same in same.items():
        for name in ("area", "gain", "uniform_area", "comprehensiveness", "sufficiency"):
            assert node[name].sel(measure=measure).notnull().all() == is_same, (measure, name)
        assert node["value"].sel(measure=measure).notnull().all()


def test_the_likelihood_of_the_answer_a_token_is_over_the_answer_alone() -> None:
    """Whatever is kept, it is the answer's likelihood divided by the number of the answer's tokens."""
    node = faithfulness({"mine": [[1, 2, 3, 4]]}, [toy_chain("abcd", answer="12345")], keep_ratios=[0.0, 0.5, 1.0])
    answer = values(node, "answer", "most_first")
    assert values(node, "answer_per_token", "most_first") == pytest.approx([value / 5 for value in answer])


def test_comprehensiveness_and_sufficiency_by_hand() -> None:
    """Taking the rationale {d} away costs its 4 nats; keeping it alone costs the other 6."""
    node = faithfulness({"mine": [[1, 2, 3, 4]]}, [toy_chain("abcd")], rationale_shares=[0.01, 0.25, 0.5])
    of_answer = node.sel(measure="answer", estimator="mine").isel(chain=0)
    # A hundredth of four units is at least one.
    assert of_answer["comprehensiveness"].to_numpy().tolist() == [4, 4, 7]
    assert of_answer["sufficiency"].to_numpy().tolist() == [6, 6, 3]
    assert float(of_answer["comprehensiveness_mean"]) == pytest.approx(5)
    assert float(of_answer["sufficiency_mean"]) == pytest.approx(5)
    joint = node.sel(measure="joint")
    assert np.isnan(joint["comprehensiveness"]).all()
    assert np.isnan(joint["uniform_sufficiency"]).all()
    assert node["comparable"].to_numpy().tolist() == [True, True, True, False, False]


def test_words_go_as_a_whole() -> None:
    """A keep ratio counts units: of three words the two most important stay with all their letters."""
    chain = toy_chain("ab c dd", unit="word")
    scorer = AdditiveScorer(CONTRIBUTIONS, answer_base=-20.0)
    node = faithfulness({"mine": [[5, 0, 9]]}, [chain], scorer, keep_ratios=[0.4, 0.7])
    # "ab" adds 3 to the answer's -20 nats, " c" adds 3, " dd" adds 8.
    assert values(node, "answer", "least_first") == [-12, -9]
    assert values(node, "answer", "most_first") == [-17, -14]
    assert values(node, "joint", "least_first") == [-12 - 3, -9 - 5]


@settings(max_examples=20)
@given(st.lists(st.sampled_from("abcdefghij"), min_size=1, max_size=10), st.integers(0, 10**6))
def test_no_order_beats_the_true_one(letters: list[str], seed: int) -> None:
    """Where contributions add up, ranking by them keeps most of the answer at every ratio, and its reverse least."""
    chain = toy_chain("".join(letters))
    truth = [CONTRIBUTIONS[letter] for letter in letters]
    other = np.random.default_rng(seed).permutation(truth).tolist()
    scorer = AdditiveScorer(CONTRIBUTIONS, answer_base=FAR_BELOW)
    node = faithfulness({"mine": [truth], "other": [other]}, [chain], scorer, seed=seed)
    best, worst = (
        node["value"].sel(measure="answer", estimator="mine", curve=c) for c in ("least_first", "most_first")
    )
    for found in (
        node["value"].sel(measure="answer", estimator="other", curve="least_first"),
        *node["uniform_value"].sel(measure="answer"),
    ):
        assert (best.to_numpy() >= found.to_numpy() - 1e-9).all()
        assert (worst.to_numpy() <= found.to_numpy() + 1e-9).all()


def test_nothing_depends_on_the_order_of_chains_or_estimators() -> None:
    """Reordered chains and estimators have the same numbers, those of random orders and of ties included."""
    chains = [toy_chain(text, id=text) for text in ("abcdef", "jihg", "aceg")]
    scores = {
        "one": [[1, 1, 2, 2, 3, 3], [4, 3, 2, 1], [0, 0, 0, 0]],
        "two": [[3, 1, 2, 2, 5, 3], [1, 1, 1, 2], [1, 2, 3, 4]],
    }
    # Just below 0 where "jihg" is whole, so that probabilities are no smaller than the tolerance either.
    scorer = AdditiveScorer(CONTRIBUTIONS, answer_base=-35.0)
    first = faithfulness(scores, chains, scorer)
    order = [2, 0, 1]
    swapped = {name: [scores[name][index] for index in order] for name in ("two", "one")}
    second = faithfulness(swapped, [chains[index] for index in order], scorer)
    for name in ("value", "area", "gain", "comprehensiveness"):
        expected = first[name].sel(estimator=["two", "one"]).isel(chain=order)
        np.testing.assert_array_equal(second[name].to_numpy(), expected.to_numpy())
    for name in ("mean", "low", "high", "gain_mean", "sufficiency_high"):
        expected = first[name].sel(estimator=["two", "one"])
        np.testing.assert_allclose(second[name].to_numpy(), expected.to_numpy(), atol=1e-9)
    uniform = first["uniform_value"].isel(chain=order)
    np.testing.assert_array_equal(second["uniform_value"].to_numpy(), uniform.to_numpy())


def test_an_estimator_that_tells_nothing_apart_does_as_well_as_chance() -> None:
    """Constant importances gain nothing over random orders, though what matters stands last."""
    chains = [toy_chain("abcdefghij", id=str(index)) for index in range(60)]
    importances: dict[str, list[list[float]]] = {
        "constant": [[1.0] * 10] * 60,
        "position": [list(range(10))] * 60,
    }
    scorer = AdditiveScorer(CONTRIBUTIONS, answer_base=FAR_BELOW)
    gain = faithfulness(importances, chains, scorer)["gain_mean"].sel(measure="answer", curve="least_first")
    assert float(gain.sel(estimator="position")) == pytest.approx(9, abs=1.5)
    assert abs(float(gain.sel(estimator="constant"))) < 1


def test_ratios_that_an_estimator_did_not_rank_are_left_out() -> None:
    """Greedy pruning that stopped at half says nothing of smaller ratios, nor of which half-chain's top goes first."""
    stopped = Importance(
        np.array([0.0, 1, 2, 2]), np.array([0, 1, -1, -1]), Trajectory(np.zeros(2), np.zeros(2), np.zeros(2))
    )
    node = faithfulness({"mine": [stopped]}, [toy_chain("abcd")], keep_ratios=[0.25, 0.5, 0.75, 1.0])
    np.testing.assert_array_equal(values(node, "answer", "least_first"), [np.nan, -3, -1, 0])
    np.testing.assert_array_equal(values(node, "answer", "most_first"), [-9, -7, np.nan, 0])
    assert node["chains_used"].sel(estimator="mine", curve="least_first").to_numpy().tolist() == [0, 1, 1, 1]
    assert np.isnan(node["area"].sel(estimator="mine")).all()


def test_an_estimator_that_covers_some_chains_only_has_means_over_those() -> None:
    """Where it says nothing its values are NaN, and the chains it has are counted."""
    scorer = AdditiveScorer(CONTRIBUTIONS, answer_base=-30.0)
    chains = [toy_chain("abcd", id="one"), toy_chain("efgh", id="two")]
    parts = [
        toy_result({"both": [[1, 2, 3, 4]], "first": [[1, 2, 3, 4]]}, chains[:1], scorer),
        toy_result({"both": [[1, 2, 3, 4]]}, chains[1:], scorer),
    ]
    joined = concat(parts)
    scoring = Scoring(scorer, tuple(chains), load_objective("joint"))
    node = Faithfulness(**FEW).compute(AnalysisInput(joined, scoring))
    assert node["chains_used"].sel(curve="least_first", keep_ratio=0.5).to_numpy().tolist() == [2, 1]
    half = node["value"].sel(measure="answer", curve="least_first", keep_ratio=0.5)
    np.testing.assert_array_equal(half.to_numpy(), [[-23, -15], [-23, np.nan]])
    assert node["mean"].sel(measure="answer", curve="least_first", keep_ratio=0.5).to_numpy().tolist() == [-19, -23]
    assert not np.isnan(node["uniform_value"]).any()


def test_a_single_chain_of_a_single_unit_has_values_and_no_intervals() -> None:
    """Everything is defined: below 1 nothing is left, the rationale is the unit, and one chain has no spread."""
    node = faithfulness({"mine": [[0.0]]}, [toy_chain("d")], keep_ratios=[0.5, 1.0])
    assert values(node, "answer", "least_first") == [-10, -6]
    assert node["comprehensiveness"].sel(measure="answer").to_numpy().ravel().tolist() == [4] * 5
    assert node["sufficiency"].sel(measure="answer").to_numpy().ravel().tolist() == [0] * 5
    assert np.isnan(node["low"]).all()
    assert not np.isnan(node["mean"]).any()


@pytest.mark.parametrize(("objective", "comparable"), [("contrast", True), ("reasoning", False)])
def test_the_objective_of_the_run_is_a_measure(objective: str, comparable: bool) -> None:
    """An objective beyond answer and joint is scored too; only one that leaves the reasoning out is comparable."""
    chain = toy_chain("abcd", wrong_answer="??")
    node = faithfulness({"mine": [[1, 2, 3, 4]]}, [chain], objective=objective, keep_ratios=[0.5, 1.0])
    # A wrong answer of two tokens has -2 nats, whatever is kept; so has kept reasoning of two tokens.
    assert values(node, objective, "least_first") == ([-1, 2] if comparable else [-2, -4])
    assert bool(node["comparable"].sel(measure=objective)) is comparable
    assert np.isnan(node["comprehensiveness"].sel(measure=objective)).all() != comparable


def test_every_version_is_scored_once() -> None:
    """Estimators that agree cost what one costs."""
    chain = toy_chain("abcdefghij")
    costs = []
    for importances in ({"a": [list(range(10))]}, {name: [list(range(10))] for name in "abc"}):
        scorer = AdditiveScorer(CONTRIBUTIONS, answer_base=FAR_BELOW)
        node = faithfulness(importances, [chain], scorer)
        costs.append(node.attrs["tokens_forwarded"])
    assert costs[0] == costs[1] > 0


def test_a_decoder_gives_what_scoring_the_shortened_chains_gives() -> None:
    """The batched path equals the slow twin: each shortened chain built as ids, and scored as a chain of its own."""
    scorer = ti.load_scorer("tiny")
    result = ti.compare(ti.demo_chains(limit=1), scorer, ["position"], objective="answer", unit="word")
    ratios = [0.0, 0.3, 0.8]
    analyzed = ti.analyze(result, "faithfulness", scorer=scorer, keep_ratios=ratios, **FEW)
    node = analysis_node(analyzed, "faithfulness")
    chain = ti.tokenize_chain(ti.demo_chains(limit=1)[0], scorer.tokenizer, unit="word")
    n = len(chain.units)
    for index, ratio in enumerate(ratios):
        kept = [position for unit in chain.units[n - int(n * ratio) :] for position in unit]
        shortened = replace(chain, reasoning_ids=tuple(chain.reasoning_ids[position] for position in kept))
        (twin,) = scorer.logprobs([shortened])
        answer, joint = twin.answer.sum(), twin.answer.sum() + twin.reasoning.sum()
        length = len(kept) + len(chain.answer_ids)
        found = node["value"].sel(curve="least_first", estimator="position")[:, index, 0].to_numpy()
        per_token = answer / len(chain.answer_ids)
        expected = [answer, np.exp(answer), per_token, joint, joint / length]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_the_whole_chain_has_the_recorded_likelihoods() -> None:
    """At keep ratio 1 every curve ends at the likelihoods that the run recorded of the unpruned chain."""
    scorer = AdditiveScorer(CONTRIBUTIONS, answer_base=-30.0)
    chains = [toy_chain("abcd", id="one"), toy_chain("jj", id="two")]
    result = toy_result({"mine": [[1, 2, 3, 4], [1, 2]]}, chains, scorer)
    node = ti.analyze(result, Faithfulness(n_uniform=1), scorer=scorer, chains=chains)
    ends = analysis_node(node, "faithfulness")["value"].sel(keep_ratio=1.0)
    for measure in ("joint", "answer"):
        recorded = result[f"full_loglik_{measure}"].to_numpy()
        np.testing.assert_allclose(ends.sel(measure=measure), np.broadcast_to(recorded, (2, 1, 2)))
    assert select(result, ["two"]).sizes["chain"] == 1


@pytest.mark.parametrize(
    "option",
    [
        {"keep_ratios": [1.0]},
        {"keep_ratios": [0.5, 0.5, 1.0]},
        {"keep_ratios": [1.0, 0.5]},
        {"keep_ratios": [0.5, 1.5]},
        {"keep_ratios": "half"},
        {"rationale_shares": []},
        {"rationale_shares": [-0.1]},
        {"n_uniform": 0},
        {"confidence": 1},
    ],
)
def test_options_out_of_range_are_errors(option: dict[str, Any]) -> None:
    """A parameter that is not allowed is named, with what is, before any model is asked."""
    with pytest.raises(AnalysisError, match=next(iter(option))):
        ti.analyze(toy_result({"a": [[1.0, 2.0]]}), "faithfulness", **option)


def test_operators_leave_what_they_leave() -> None:
    """Hiding leaves the answer as deletion does and every token in the joint sum; a mask leaves its own share."""
    chain, ratios = [toy_chain("abcd")], [0.0, 0.5, 1.0]
    hidden = faithfulness({"mine": [[1, 2, 3, 4]]}, chain, keep_ratios=ratios, operator="knockout")
    assert values(hidden, "answer", "least_first") == [-10, -3, 0]
    assert values(hidden, "joint", "least_first") == [-14, -7, -4]
    assert values(hidden, "joint_per_token", "least_first") == pytest.approx([-14 / 5, -7 / 5, -4 / 5])
    assert hidden["comparable"].to_numpy().all()
    masked = faithfulness({"mine": [[1, 2, 3, 4]]}, chain, keep_ratios=ratios, operator="mask", replacement="a")
    assert values(masked, "answer", "least_first") == [-6, -1, 0]
    assert values(masked, "joint", "least_first") == [-6, -3, -4]
    assert masked["comparable"].to_numpy().tolist() == [True, True, True, False, False]


@pytest.mark.parametrize("options", [{"operator": "knockout"}, {"operator": "mask", "replacement": "mean"}])
def test_operators_of_one_number_a_pass_give_the_run_s_objective_too(options: dict[str, Any]) -> None:
    """An objective that is no likelihood of its own stands beside the others, from passes of its own."""
    chain = [toy_chain("abcd", wrong_answer="x")]
    node = faithfulness({"mine": [[1, 2, 3, 4]]}, chain, objective="contrast", keep_ratios=[0.0, 1.0], **options)
    assert values(node, "contrast", "least_first")[1] == pytest.approx(values(node, "answer", "least_first")[1] + 1)


def test_a_second_analysis_of_the_same_versions_asks_nothing() -> None:
    """With one memory for both, another bootstrap of the same curves costs no pass and has the same values."""
    scorer, chain, memory = AdditiveScorer(CONTRIBUTIONS), [toy_chain("abcd")], SubsetMemory()
    result = toy_result({"mine": [[1, 2, 3, 4]]}, chain, scorer, "joint")
    nodes = []
    for confidence in (0.9, 0.8):
        analysis = Faithfulness(**FEW, confidence=confidence)
        analyzed = ti.analyze(result, analysis, scorer=scorer, chains=chain, subset_memory=memory)
        nodes.append(analysis_node(analyzed, f"faithfulness,n_uniform=2,confidence={confidence}"))
    assert nodes[0].attrs["tokens_forwarded"] > nodes[1].attrs["tokens_forwarded"] == 0
    xr.testing.assert_equal(nodes[0]["value"], nodes[1]["value"])
