"""What a scorer that only writes `logprobs` already has, and what it says of the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import Joint
from tokimp.contracts.scorer import DeletionScores, Scorer, SpanLogprobs
from tokimp.errors import UnsupportedError
from tokimp.testing import toy_chain

CHAIN = toy_chain("abcd")
KEPT = (0, 1, 3)


class Bigram(Scorer):
    """A token's log-probability is minus its distance, in the alphabet, from the token before it."""

    def logprobs(self, chains: Sequence[TokenizedChain]) -> list[SpanLogprobs]:
        """Return those log-probabilities; the token before the first one is 0."""
        spans = []
        for chain in chains:
            steps = -np.abs(np.diff([0, *chain.reasoning_ids, *chain.answer_ids])).astype(np.float32)
            spans.append(SpanLogprobs(steps[: len(chain.reasoning_ids)], steps[len(chain.reasoning_ids) :]))
        return spans


class Counting(Bigram):
    """The objective of a deletion is the number of tokens that are left."""

    def score_deletions(
        self, chain: TokenizedChain, kept: Sequence[int], candidates: Sequence[Sequence[int]], objective: object
    ) -> DeletionScores:
        """Return that number as the objective, and nothing else that means anything."""
        left = np.array([len(kept) - len(candidate) for candidate in candidates], dtype=np.float64)
        return DeletionScores(left, np.zeros_like(left), np.zeros_like(left))


def test_log_probabilities_of_deletions_are_those_of_the_shortened_chain() -> None:
    """Each candidate's row has what `logprobs` gives for the chain that is left, and NaN for what is deleted."""
    scorer = Bigram()
    rows = scorer.deletion_logprobs(CHAIN, KEPT, [[1], []])
    (without,), (whole,) = (
        scorer.logprobs([replace(CHAIN, reasoning_ids=tuple(CHAIN.reasoning_ids[place] for place in places))])
        for places in [(0, 3), KEPT]
    )
    first, last = without.reasoning
    np.testing.assert_array_equal(rows[0], [first, np.nan, last, *without.answer])
    np.testing.assert_array_equal(rows[1], [*whole.reasoning, *whole.answer])


def test_no_candidate_gives_no_row() -> None:
    """Without candidates there is nothing to read: no rows, as many columns as before."""
    assert Bigram().deletion_logprobs(CHAIN, KEPT, []).shape == (0, len(KEPT) + len(CHAIN.answer_ids))


def test_deletion_scores_are_the_objective_alone() -> None:
    """`deletion_scores` gives the first of the three numbers of `score_deletions`."""
    assert Counting().deletion_scores(CHAIN, KEPT, [[0], [0, 1]], Joint()).tolist() == [2.0, 1.0]


@pytest.mark.parametrize(
    "ask",
    [
        lambda scorer: scorer.fingerprint(),
        lambda scorer: scorer.score_deletions(CHAIN, KEPT, [[0]], Joint()),
        lambda scorer: scorer.score_knockouts(CHAIN, [[0]], Joint()),
        lambda scorer: scorer.entropies([CHAIN]),
        lambda scorer: scorer.knockout_logprobs(CHAIN, [[0]]),
        lambda scorer: scorer.knockout_divergences(CHAIN, [[0]]),
        lambda scorer: scorer.attention(CHAIN),
        lambda scorer: scorer.states(CHAIN, lambda states: states.after),
        lambda scorer: scorer.activations(CHAIN, "residual"),
        lambda scorer: scorer.activation_gradients(CHAIN, "residual", Joint(), lambda activation, gradient: gradient),
        lambda scorer: scorer.embedding_gradients(CHAIN, Joint()),
        lambda scorer: scorer.objective_value(CHAIN, Joint()),
        lambda scorer: scorer.generate([[1]]),
    ],
)
def test_what_a_scorer_does_not_write_is_refused_by_the_name_of_its_class(ask: Callable[[Scorer], object]) -> None:
    """A number that a class does not give ends in one error, which names the class."""
    with pytest.raises(UnsupportedError, match=r"^Bigram "):
        ask(Bigram())
