"""Sentences about an estimator, each with the number behind it."""

from __future__ import annotations

from typing import Any

import pytest

from tokimp.audit.sentences import sentences_of


def numbers(mean: float | None, **more: Any) -> dict[str, Any]:
    """Return a mean with an interval of 0.1 on each side."""
    ends = {"low": None, "high": None} if mean is None else {"low": mean - 0.1, "high": mean + 0.1}
    return {"mean": mean, **ends, "chains": 9, "undefined": 0, **more}


def entry(**parts: Any) -> dict[str, Any]:
    """Return what a card says of an estimator of which nothing else is known."""
    return {"faithfulness": [], "sanity": [], "stability": [], "planted": [], "cost": None, **parts}


def said(**parts: Any) -> dict[str, str]:
    """Return the only sentence about an estimator."""
    (sentence,) = sentences_of(entry(**parts), 0.95)
    return sentence


def condition(name: str, mean: float | None, unchanged: int = 0) -> dict[str, Any]:
    """Return what a card says of one condition."""
    return {
        "condition": name,
        "compared": 9,
        "unchanged": unchanged,
        "spearman": numbers(mean),
        "spearman_beyond_position": numbers(0.2),
    }


def test_a_control_is_not_compared_with_itself() -> None:
    """What is the control on every chain is said to be the same as it, and not to be hard to tell from it."""
    same = {"mean": 0.0, "low": None, "high": None, "chains": 9, "undefined": 0}
    scores = [{"score": name, "above_position": same} for name in ("one", "other")]
    sentence = said(faithfulness=scores)
    assert sentence["verdict"] == "the same as position"
    assert "all 2 scores" in sentence["text"]
    # Differences of two chains that cancel out have a mean of 0 and no p-value too.
    few = [{"score": "one", "above_position": {**same, "chains": 2}}]
    assert said(faithfulness=few)["verdict"] == "not told from position"


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        ([(1.0, 0.01), (2.0, 0.02)], "beats position"),
        ([(-1.0, 0.01), (-2.0, 0.02)], "worse than position"),
        ([(1.0, 0.2), (-2.0, None)], "not told from position"),
        ([(1.0, 0.01), (2.0, 0.2)], "mixed against position"),
    ],
)
def test_a_control_is_beaten_where_the_corrected_p_value_says_so(
    differences: list[tuple[float, float | None]], verdict: str
) -> None:
    """Every difference is named with its interval, whatever is told of it."""
    scores = [
        {"score": f"score {place}", "above_position": numbers(mean, p_adjusted=p)}
        for place, (mean, p) in enumerate(differences)
    ]
    sentence = said(faithfulness=scores)
    assert sentence["verdict"] == verdict
    for place, (mean, _) in enumerate(differences):
        assert f"score {place}: {mean:+.2f} [{mean - 0.1:.2f}, {mean + 0.1:.2f}]" in sentence["text"]


def test_a_ranking_that_is_the_very_same_is_blind() -> None:
    """It needs no number but how many chains; one that moves has its correlations."""
    assert said(sanity=[condition("weights: all", 1.0, unchanged=9)])["verdict"] == "blind to the weights"
    keeps = said(sanity=[condition("weights: head", 0.9), condition("weights: all:seed=1", 0.6)])
    assert keeps["verdict"] == "hardly reads the weights"
    assert "rank correlation 0.60 [0.50, 0.70]; beyond position 0.20" in keeps["text"]
    assert said(sanity=[condition("other answer", 0.1)])["verdict"] == "reads the answer"
    assert sentences_of(entry(sanity=[condition("weights: all", None)]), 0.95) == []


def test_the_least_stable_condition_is_named() -> None:
    """All conditions stand in the sentence; those without a value are left out."""
    sentence = said(stability=[condition("seed 1", 0.99), condition("paraphrase", 0.3), condition("spelling", None)])
    assert sentence["verdict"] == "unstable: paraphrase"
    assert "seed 1 0.99" in sentence["text"]
    assert "spelling" not in sentence["text"]
    assert said(stability=[condition("seed 1", 0.99)])["verdict"] == "stable"


def test_kinds_of_planted_text_are_told_where_the_interval_lies_above_chance() -> None:
    """A high mean over too few chains for an interval is not told from chance."""
    kinds = [
        {"kind": "unused_step", "auroc_sentence": numbers(0.8)},
        {"kind": "filler", "auroc_sentence": numbers(0.55)},
        {"kind": "distractor", "auroc_sentence": {**numbers(0.9), "low": None, "high": None}},
    ]
    sentence = said(planted=kinds)
    assert sentence["verdict"] == "finds 1 of 3 kinds"
    assert sentence["text"].startswith("Tells unused step of planted text from the rest")
    assert "too few chains for some intervals" in sentence["text"]


def test_costs_name_what_was_counted() -> None:
    """Calls and memory stand there only where somebody counts them."""
    cost = {"tokens": 40, "units": 8, "positions": 1200, "calls": 3, "seconds": 0.25, "memory": 2**21}
    assert said(cost=cost)["text"] == (
        "Passes 1,200 positions in 3 calls for a chain of 40 tokens, in 0.25 s, 2 MiB beyond the model."
    )
    assert said(cost={**cost, "calls": None, "memory": None})["text"] == (
        "Passes 1,200 positions for a chain of 40 tokens, in 0.25 s."
    )


def test_only_what_was_found_is_said_of_a_control() -> None:
    """No sentence is about none of the scores, and each part counts its own."""
    scores = [
        {"score": "one", "above_position": numbers(1.0, p_adjusted=0.01)},
        {"score": "two", "above_position": numbers(-1.0, p_adjusted=0.2)},
    ]
    assert said(faithfulness=scores)["text"] == (
        "Beats position on 1 of 2 scores (one: +1.00 [0.90, 1.10]). Is not told from position on 1 of 2 scores (two: "
        "-1.00 [-1.10, -0.90])."
    )


def test_the_last_of_several_seeds_of_random_weights_is_named() -> None:
    """Both of its correlations are of the same condition."""
    first, last = condition("weights: all:seed=1", 0.3), condition("weights: all:seed=2", 0.1)
    last["spearman_beyond_position"] = numbers(-0.3)
    text = said(sanity=[first, last])["text"]
    assert "rank correlation 0.10 [0.00, 0.20]; beyond position -0.30 [-0.40, -0.20]" in text


def test_planted_text_is_not_told_where_the_interval_begins_at_chance() -> None:
    """With all intervals known nothing is said of too few chains."""
    sentence = said(planted=[{"kind": "filler", "auroc_sentence": {"mean": 0.7, "low": 0.5, "high": 0.9}}])
    assert sentence["verdict"] == "finds 0 of 1 kinds"
    assert "too few chains" not in sentence["text"]
