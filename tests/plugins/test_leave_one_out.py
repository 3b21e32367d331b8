"""Leave-one-out is the drop in the objective when one unit goes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokimp_greedy import GreedyPruning
from tokimp_leave_one_out import LeaveOneOut

from tokimp.contracts.objective import Answer, Contrast, Joint, Objective
from tokimp.errors import EstimatorError
from tokimp.testing import AdditiveScorer, check_estimator, toy_chain

SHARES = {"a": 0.5, "b": -0.25, "c": 2.0, " ": 0.125, ".": 1.0}


class SquareScorer(AdditiveScorer):
    """The answer depends on the square of what the tokens add up to, so that no token's share is its own."""

    def answer_loglik(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Return the base plus the squared sum."""
        return self.answer_base + embeddings[:, 0].sum() ** 2


def test_the_drop_is_the_share_where_shares_add_up() -> None:
    """By the answer a token's importance is its contribution; by joint, that plus its own log-probability."""
    scorer = AdditiveScorer(SHARES, reasoning_logprob=-1.5)
    assert LeaveOneOut().estimate(toy_chain("abc"), scorer, Answer()).scores.tolist() == [0.5, -0.25, 2.0]
    assert LeaveOneOut().estimate(toy_chain("abc"), scorer, Joint()).scores.tolist() == [-1.0, -1.75, 0.5]


def test_contrast_compares_both_answers() -> None:
    """With an objective that reads a wrong answer the drop is that of the difference."""
    found = LeaveOneOut().estimate(toy_chain("abc", wrong_answer="x"), AdditiveScorer(SHARES), Contrast())
    np.testing.assert_allclose(found.scores, [0.5, -0.25, 2.0], atol=1e-12)


@given(
    text=st.text("abc. ", min_size=1, max_size=10).filter(str.strip),
    unit=st.sampled_from(["token", "word", "sentence"]),
)
def test_a_unit_is_deleted_as_a_whole(text: str, unit: str) -> None:
    """The score of any unit is the full objective minus that of the ids without all its tokens."""
    chain, scorer = toy_chain(text, unit=unit), SquareScorer(SHARES)
    total = sum(SHARES[c] for c in text)
    expected = [total**2 - (total - sum(SHARES[text[p]] for p in tokens)) ** 2 for tokens in chain.units]
    np.testing.assert_allclose(LeaveOneOut().estimate(chain, scorer, Answer()).scores, expected, atol=1e-12)


@given(text=st.text("abc. ", min_size=1, max_size=10).filter(str.strip), objective=st.sampled_from([Joint(), Answer()]))
def test_the_lowest_is_what_greedy_deletes_first(text: str, objective: Objective) -> None:
    """Greedy pruning's first step takes the leftmost of the units that leave-one-out scores lowest."""
    chain, scorer = toy_chain(text, unit="word"), SquareScorer(SHARES)
    scores = LeaveOneOut().estimate(chain, scorer, objective).scores
    order = GreedyPruning().estimate(chain, scorer, objective).order
    assert order is not None
    assert scores[order.tolist().index(0)] == pytest.approx(scores.min(), abs=1e-12)


def test_each_version_is_scored_once() -> None:
    """The cost is one pass of the full chain and one of every shortened one."""
    scorer = AdditiveScorer()
    LeaveOneOut().estimate(toy_chain("abcd", question="q", answer="zz"), scorer, Joint())
    assert scorer.tokens_forwarded == 7 + 4 * 6


@pytest.mark.parametrize(
    ("bad", "lengths"), [(torch.nan, {3}), (torch.nan, {2}), (-torch.inf, {2}), (-torch.inf, {2, 3})]
)
def test_a_drop_that_is_no_number_is_an_error(bad: float, lengths: set[int]) -> None:
    """NaN or infinite objectives, of the full chain or a shortened one, raise an error that names chain and unit."""

    class Broken(AdditiveScorer):
        def answer_loglik(self, embeddings: torch.Tensor) -> torch.Tensor:
            return super().answer_loglik(embeddings) + (bad if len(embeddings) in lengths else 0.0)

    with pytest.raises(EstimatorError, match=r"chain 'sick'.*token 0"):
        LeaveOneOut().estimate(toy_chain("abc", id="sick"), Broken(), Answer())


def test_it_keeps_the_contract() -> None:
    """Leave-one-out passes the check that every estimator must pass."""
    check_estimator(LeaveOneOut)
