"""Surprisal: a reasoning token is important when the model did not expect it."""

from __future__ import annotations

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.estimator import Importance, ImportanceEstimator, sum_over_units
from tokimp.contracts.objective import Objective
from tokimp.contracts.scorer import Capability, Scorer

__all__ = ["Surprisal"]


class Surprisal(ImportanceEstimator):
    """Scores a unit by -log P(unit | question, reasoning before it), in nats; the objective is not used.

    The most predictable unit is deleted first, because the model could have guessed it (Li et al. 2023, "Compressing
    context to enhance inference efficiency of large language models", section 3). The surprisal of a unit is the sum
    over its tokens, by the chain rule, so longer units tend to score higher. The whole takes one pass over the full
    chain; the answer plays no part.

    Examples
    --------
    >>> from tokimp.contracts.objective import Joint
    >>> from tokimp.testing import AdditiveScorer, toy_chain
    >>> scorer = AdditiveScorer(reasoning_logprob=-0.5)
    >>> Surprisal().estimate(toy_chain("ab c", unit="word"), scorer, Joint()).scores.tolist()
    [1.0, 1.0]
    """

    name = "surprisal"
    requires = frozenset({Capability.LOGPROBS})

    def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
        """Return each unit's surprisal, [unit], nats; `objective` is not used."""
        return Importance(sum_over_units(chain, -scorer.logprobs([chain])[0].reasoning))
