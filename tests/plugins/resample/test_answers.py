"""Answers of continuations are found in the text, and counted as values are compared."""

from __future__ import annotations

import pytest
from tokimp_resample.answers import AnswerCounts, WrittenText, divide, successes

from tokimp.chains.chain import Chain
from tokimp.errors import EstimatorError

NOTHING = None


@pytest.mark.parametrize(
    ("text", "answer", "reasoning", "own", "value"),
    [
        (" So 3.\n#### 3", "#### 4", " So 3.\n", "#### 3", "3"),
        ("\n#### 4", "#### 4", "\n", "#### 4", "4"),
        ("#### 3\nNext?\n#### 9", "#### 4", "", "#### 3", "3"),
        (" Add. The answer is (B).", "The answer is (C).", " Add. ", "The answer is (B).", "B"),
        (r" It is $\boxed{5}$.", r"\boxed{4}", " ", r"It is $\boxed{5}$.", "5"),
        (' So.\n{"answer": "7"}', '{"answer": "4"}', " So.\n", '{"answer": "7"}', "7"),
        (" So 3 are left.", "#### 4", " So 3 are left.", "", NOTHING),
        (r" It is $\boxed{", r"\boxed{4}", r" It is $\boxed{", "", NOTHING),
        (" So 3 are left.\n3\n", "4", " So 3 are left.\n", "3", "3"),
        ("", "4", "", "", NOTHING),
        ("", "#### 4", "", "", NOTHING),
    ],
)
def test_a_text_is_divided(text: str, answer: str, reasoning: str, own: str, value: str | None) -> None:
    """The answer is what the dataset's rule finds; without one the whole text is reasoning."""
    assert divide(text, Chain("c", "q", "r", answer)) == WrittenText(reasoning, own, value)


def test_equal_values_are_counted_together() -> None:
    """Values that are the same in another spelling are one answer, and no answer is one too."""
    counts = AnswerCounts({0: ["4,800", "4800", None, "5"], 1: ["4800.0", "5", "5", None]}, "marked")
    first, second = counts.labels[0].tolist(), counts.labels[1].tolist()
    assert counts.size == 3
    assert first[0] == first[1] == second[0]
    assert first[3] == second[1] == second[2]
    assert first[2] == second[3]
    assert len({first[0], first[2], first[3]}) == 3


def test_answers_that_occur_once_are_one() -> None:
    """What is seen a single time in the whole chain is pooled; what is seen twice is not."""
    counts = AnswerCounts({0: ["1", "2", "7", "7"], 1: ["3", "7"]}, "marked")
    assert counts.size == 2
    assert counts.labels[0][0] == counts.labels[0][1] == counts.labels[1][0] != counts.labels[0][2]
    assert AnswerCounts({0: ["1", "2", "2"]}, "marked").size == 2


def test_values_that_cannot_be_compared_stay_apart() -> None:
    """What may or may not be the same is not counted together."""
    assert AnswerCounts({0: ["eighteen", "18", "eighteen", "18"]}, "marked").size == 2


def test_successes_are_told_by_the_right_answer_or_the_chains_own() -> None:
    """Either the gold answer counts, or the chain's own; what is not known to be it is no success."""
    chain = Chain("c", "q", "r", "#### 4", gold="5")
    assert successes(["5", "4", None, "five"], chain, "gold").tolist() == [1, 0, 0, 0]
    assert successes(["5", "4.0", None], chain, "answer").tolist() == [0, 1, 0]


def test_an_unknown_right_answer_is_an_error() -> None:
    """A chain without a gold answer cannot be counted by it; the message says what can be done."""
    with pytest.raises(EstimatorError, match=r"chain 'c': which answers are right .*\(success=answer\)"):
        successes(["5"], Chain("c", "q", "r", "#### 4"), "gold")
