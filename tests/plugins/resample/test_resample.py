"""Resampling and counterfactual importance are what the distribution of continuations says."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from tokimp_resample import Resample
from tokimp_resample.similarity import first_unit, similarities, unit_texts

from tests.plugins.resample.toy_writer import ToyWriter, chain_of
from tokimp.chains.datasets.correctness import split_answer
from tokimp.contracts.objective import Answer, Joint
from tokimp.errors import EstimatorError
from tokimp.testing import check_estimator

CHAIN = chain_of("Take 5. Add 2. Say it.", id="known")
BEGINNINGS = ["", "Take 5.", "Take 5. Add 2.", "Take 5. Add 2. Say it."]
NEXT = ["Take 5.", " Add 2.", " Say it."]
MANY = 20_000
# How likely the next sentence is the chain's own, and the answer 1, if it is and if it is not.
KNOWN = {0: (0.5, 0.2, 0.1), 1: (0.3, 0.9, 0.2), 2: (0.7, 0.95, 0.9), 3: (0.0, 0.0, 0.97)}


def written(beginning: str) -> dict[str, float]:
    """Return the texts that follow a beginning: the chain's own sentence or another one, and the answer 1 or 2."""
    place = BEGINNINGS.index(beginning)
    own, right_with, right_without = KNOWN[place]
    texts: dict[str, float] = {}
    for sentence, share, right in (
        (NEXT[place % 3], own, right_with),
        (" Something else here.", 1 - own, right_without),
    ):
        texts[f"{sentence}\n#### 1"] = share * right
        texts[f"{sentence}\n#### 2"] = share * (1 - right)
    return texts


def shares(texts: dict[str, float], *, similar_to: int | None = None, similar: bool = True) -> dict[str, float]:
    """Return how likely each answer is, and comes with a first sentence that is, or is not, the chain's own."""
    found: dict[str, float] = defaultdict(float)
    for text, share in texts.items():
        begun = text.partition("\n")[0].strip()
        if similar_to is None or (begun == NEXT[similar_to].strip()) is similar:
            found[split_answer(text).value] += share
    return found


def divergence(first: dict[str, float], second: dict[str, float]) -> float:
    """Return the KL divergence of two sets of shares, each divided by its sum."""
    p, q = ([one.get(answer, 0.0) / sum(one.values()) for answer in "12"] for one in (first, second))
    return float(sum(a * np.log(a / b) for a, b in zip(p, q, strict=True) if a))


def truth(kind: str, measure: str, unit: int) -> float:
    """Return a unit's value by enumeration of all texts."""
    before, after = (shares(written(BEGINNINGS[place])) for place in (unit, unit + 1))
    if kind == "counterfactual":
        different = shares(written(BEGINNINGS[unit]), similar_to=unit, similar=False)
        alike = shares(written(BEGINNINGS[unit]), similar_to=unit)
        if measure == "accuracy":
            return after["1"] - different["1"] / sum(different.values())
        # As many continuations follow each beginning, so the similar ones weigh as much as they are likely.
        before, after = different, {answer: after[answer] + alike[answer] for answer in "12"}
    if measure == "accuracy":
        return after["1"] - before["1"]
    if measure == "kl":
        return divergence(before, after)
    mean = {answer: sum(one[answer] / sum(one.values()) for one in (before, after)) / 2 for answer in "12"}
    return (divergence(before, mean) + divergence(after, mean)) / 2


@pytest.mark.parametrize("kind", ["resampling", "counterfactual"])
@pytest.mark.parametrize("measure", ["kl", "js", "accuracy"])
def test_values_are_those_of_the_known_distribution(kind: str, measure: str) -> None:
    """With many continuations each unit's value is that of all texts, enumerated, and is told from noise."""
    estimator = Resample(kind, measure, report="raw", rollouts=MANY, last_unit="answer", reshuffles=200)
    found = estimator.estimate(CHAIN, ToyWriter(written), Answer())
    expected = [truth(kind, measure, unit) for unit in range(3)]
    np.testing.assert_allclose(found.scores, expected, rtol=0.05, atol=0.02)
    assert abs(expected[0]) > 0.04
    assert found.diagnostics["discoveries"] == 3
    assert found.diagnostics["without_value"] == 0
    assert found.diagnostics["unanswered"] == 0
    if kind == "counterfactual":
        assert found.diagnostics["different"] == pytest.approx(
            1 - np.mean([KNOWN[unit][0] for unit in range(3)]), abs=0.01
        )
        assert found.diagnostics["repeated"] == pytest.approx(1 - 2 / MANY)


def test_the_accuracy_of_both_kinds_has_one_sign() -> None:
    """A sentence that makes the right answer more likely is important by both, whatever the source's sign is."""
    for kind in ("resampling", "counterfactual"):
        found = Resample(kind, "accuracy", report="raw", rollouts=400).estimate(CHAIN, ToyWriter(written), Answer())
        assert found.scores[1] > 0.3


def test_the_last_unit_scores_zero_unless_its_answer_is_sampled() -> None:
    """Nothing comes after it, as in the source; the diagnostics count it, and nothing is written for it."""
    writer = ToyWriter(written)
    found = Resample(report="raw", rollouts=200).estimate(CHAIN, writer, Answer())
    assert found.scores[-1] == 0
    assert found.diagnostics["without_value"] == 1
    assert len(writer.asked) == 3
    alone = Resample().estimate(chain_of("Take 5.", id="short"), ToyWriter(written), Answer())
    assert alone.scores.tolist() == [0]
    assert alone.diagnostics["p_min"] == 1


def test_too_few_continuations_have_no_value() -> None:
    """Where fewer than ten are on one side, the unit scores 0 and is counted; no number is NaN."""
    few = Resample("counterfactual", rollouts=9, last_unit="answer").estimate(CHAIN, ToyWriter(written), Answer())
    assert few.scores.tolist() == [0, 0, 0]
    assert few.diagnostics["without_value"] == 3
    assert np.isfinite(list(few.diagnostics.values())).all()
    units = Resample("counterfactual", rollouts=40, last_unit="answer", least=16).measure_units(
        CHAIN, ToyWriter(written)
    )
    assert (units.compared[:, 0] == np.round(40 * units.different)).all()
    assert np.isnan(units.value).tolist() == (units.compared.min(axis=1) < 16).tolist() == [False, False, True]


def test_reports_are_made_of_value_and_null() -> None:
    """Each report is its formula of the same measured units."""
    settings: dict[str, Any] = {"measure": "accuracy", "rollouts": 30, "last_unit": "answer"}
    units = Resample(**settings).measure_units(CHAIN, ToyWriter(written))
    expected = {
        "raw": units.value,
        "excess": units.value - units.null_mean,
        "evidence": -np.log(units.p),
        "margin": np.sign(units.value) * np.clip(np.abs(units.value) - units.null_q95, 0, None),
    }
    for report, scores in expected.items():
        found = Resample(report=report, **settings).estimate(CHAIN, ToyWriter(written), Joint())
        np.testing.assert_array_equal(found.scores, scores)
    assert (expected["margin"] == 0).any()
    assert (expected["margin"] != 0).any()


def test_noise_is_taken_off() -> None:
    """Where sentences change nothing, raw divergences are above 0 on average, and their excess is about 0."""
    same = {" On.\n#### 1": 0.5, " On.\n#### 2": 0.3, " On.\n#### 3": 0.2}
    text = " ".join(f"Go {number}." for number in range(40))
    chain = chain_of(text, id="idle")
    raw, excess = (
        Resample(report=report, rollouts=30, reshuffles=300).estimate(chain, ToyWriter(lambda _: same), Answer())
        for report in ("raw", "excess")
    )
    # Two of about (3 - 1) / 2 * (1 / 30 + 1 / 30) nats, less a little for the smoothing.
    assert raw.scores.mean() == pytest.approx(2 / 30, rel=0.35)
    assert abs(excess.scores.mean()) < 0.3 * raw.scores.mean()
    assert excess.diagnostics["discoveries"] == 0
    assert excess.diagnostics["null_mean"] == pytest.approx(2 / 30, rel=0.2)


def test_answers_are_normalised_before_they_are_counted() -> None:
    """Spellings of one value do not differ: a chain that always ends with it has no divergence at all."""
    spellings = {" On.\n#### 1": 0.4, " On.\n#### 1.0": 0.3, " On.\n#### $1": 0.3}
    found = Resample(report="raw", last_unit="answer").estimate(CHAIN, ToyWriter(lambda _: spellings), Answer())
    assert found.scores.tolist() == [0, 0, 0]


def test_success_needs_a_right_answer_only_for_accuracy() -> None:
    """A chain without a gold answer has divergences, and accuracies of its own answer."""
    chain = chain_of("Take 5. Add 2. Say it.", gold=None, id="open")
    Resample().estimate(chain, ToyWriter(written), Answer())
    Resample(measure="accuracy", success="answer").estimate(chain, ToyWriter(written), Answer())
    with pytest.raises(EstimatorError, match=r"\(success=answer\)"):
        Resample(measure="accuracy").estimate(chain, ToyWriter(written), Answer())


@pytest.mark.parametrize(
    "estimator",
    [
        Resample(),
        Resample("counterfactual", "js", rollouts=12, least=2),
        Resample(measure="accuracy", success="answer", report="evidence", reshuffles=50),
    ],
    ids=lambda estimator: estimator.label,
)
def test_it_keeps_the_contract(estimator: Resample) -> None:
    """The check of estimators passes, for every unit."""
    answers = {" So.\n#### 1": 0.5, " No.\n#### 2": 0.3, " Hm": 0.2}
    chains = [
        chain_of(text, unit=unit, id=f"{unit} {text}")
        for text in ("a", "Take 5. Then 7.")
        for unit in ("token", "word", "sentence", "equation")
    ]
    check_estimator(estimator, ToyWriter(lambda _: answers), chains)


def test_positions_are_expected_beforehand() -> None:
    """About as many as beginnings times continuations times the length of the chain."""
    assert Resample(rollouts=7).expected_positions(CHAIN, Answer()) == 3 * 7 * (len(CHAIN) - 1)
    assert Resample(rollouts=7, last_unit="answer").expected_positions(CHAIN, Answer()) == 4 * 7 * (len(CHAIN) - 1)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("kind", "both"),
        ("measure", "tv"),
        ("report", "p"),
        ("rollouts", 1),
        ("temperature", 0),
        ("top_p", 1.5),
        ("smoothing", 0),
    ],
)
def test_parameters_are_checked(parameter: str, value: Any) -> None:
    """A value that is not allowed is named."""
    with pytest.raises(EstimatorError, match=rf"resample: {parameter}=.* is not allowed"):
        Resample(**{parameter: value}).validate_parameters()


def test_the_own_sentence_is_the_similar_one() -> None:
    """What the tests take for similar is what the estimator does."""
    own = unit_texts(CHAIN)
    for place in range(3):
        begun = [first_unit(text, CHAIN, own[place]).strip() for text in written(BEGINNINGS[place])]
        assert (similarities(begun, own[place].strip()) >= 0.8).tolist() == [True, True, False, False]
