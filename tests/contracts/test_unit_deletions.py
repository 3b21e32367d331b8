"""Deletions of whole units, as greedy pruning and leave-one-out ask for them."""

from __future__ import annotations

import pytest

from tokimp.contracts.objective import Answer, Joint
from tokimp.contracts.unit_deletions import score_kept, score_unit_deletions
from tokimp.testing import AdditiveScorer, toy_chain

SCORER = AdditiveScorer({"a": 0.5, "b": 1.0, "c": 2.0}, answer_base=-8.0, reasoning_logprob=-1.0)


def test_a_unit_goes_with_all_its_tokens() -> None:
    """The scores are those of the chain without all tokens of one more unit, in the order of the units kept."""
    chain = toy_chain("aa b cc", unit="word")
    kept_answer = SCORER.score_deletions(chain, range(7), [()], Answer()).answer[0]
    scores = score_unit_deletions(SCORER, chain, [0, 1, 2], Answer())
    assert (kept_answer - scores.answer).tolist() == [1.0, 1.0, 4.0]
    without_first = score_unit_deletions(SCORER, chain, [1, 2], Answer())
    assert (kept_answer - without_first.answer).tolist() == [2.0, 5.0]


def test_what_is_kept_can_be_scored_beside_the_deletions() -> None:
    """With `and_none` the last entry is the kept chain as it is."""
    chain = toy_chain("abc")
    scores = score_unit_deletions(SCORER, chain, [0, 2], Joint(), and_none=True)
    assert scores.answer.tolist() == [-6.0, -7.5, -5.5]
    assert scores.reasoning.tolist() == [-1.0, -1.0, -2.0]


@pytest.mark.parametrize(("kept", "reasoning", "answer"), [([0, 1, 2], -3.0, -4.5), ([2], -1.0, -6.0), ([], 0.0, -8.0)])
def test_the_likelihoods_of_what_is_kept(kept: list[int], reasoning: float, answer: float) -> None:
    """Reasoning and answer have the log-likelihoods of the chain of the kept units alone, also if there are none."""
    assert score_kept(SCORER, toy_chain("abc"), kept) == (reasoning, answer)
