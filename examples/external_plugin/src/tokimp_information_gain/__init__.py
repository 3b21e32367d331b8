"""Information gain: how much more likely the answer gets when a unit joins what has been said so far."""

from __future__ import annotations

import numpy as np

from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.constraints import OneOf
from tokimp.contracts.estimator import Importance, ImportanceEstimator
from tokimp.contracts.objective import Answer, Objective
from tokimp.contracts.scorer import Capability, Scorer

__all__ = ["InformationGain"]


class InformationGain(ImportanceEstimator):
    """Scores a unit by what it adds to the answer's log-likelihood when the reasoning is built up unit by unit.

    ``importance(u) = log P(answer | question, units up to u) - log P(answer | question, units before u)``, in nats:
    the pointwise form of the information gain of a reasoning step (Ton, Taufiq and Liu 2025, "Understanding
    chain-of-thought in LLMs through information theory"; they train a model to predict the answer from a truncated
    chain, here the scorer itself predicts it, as in the early answering of Lanham et al. 2023, "Measuring
    faithfulness in chain-of-thought reasoning"). The scores of a chain add up to what its whole reasoning gains.

    It measures what a unit tells that was not yet known, not what would be lost without it: of two units that say the
    same, the first gets everything. A negative score says that the answer got less likely. Most truncated chains stop
    in the middle of a sentence, which the model has hardly seen before an answer; words and sentences are safer.

    Parameters
    ----------
    direction
        ``forward`` begins with no reasoning and adds units from the left; ``backward`` adds them from the right, so
        that of two units that say the same the last gets everything. ``both`` is the mean of the two, which are one
        permutation and its reverse out of those that a Shapley value averages over.
    of
        ``answer``: the gain in log P(answer), whatever the run's objective. ``objective``: the gain in that objective;
        with ``joint`` and ``reasoning``, a unit then also pays for its own surprisal.
    """

    name = "information_gain"
    requires = frozenset({Capability.DELETIONS})
    constraints = {"direction": OneOf("forward", "backward", "both"), "of": OneOf("answer", "objective")}

    def __init__(self, direction: str = "forward", of: str = "answer") -> None:
        self.direction = direction
        self.of = of

    def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
        """Return each unit's gain, [unit], in nats, with the gain of the whole reasoning as a diagnostic."""
        preserved = objective if self.of == "objective" else Answer()
        directions = ["forward", "backward"] if self.direction == "both" else [self.direction]
        scores = np.mean([_gains(chain, scorer, preserved, direction) for direction in directions], axis=0)
        return Importance(scores, diagnostics={"total_gain": float(scores.sum())})


def _gains(chain: TokenizedChain, scorer: Scorer, objective: Objective, direction: str) -> FloatArray:
    units = chain.units if direction == "forward" else chain.units[::-1]
    # From no unit at all to all of them: the k-th version of the chain lacks everything after its first k units.
    missing = [sorted(position for unit in units[k:] for position in unit) for k in range(len(units) + 1)]
    gains = np.diff(scorer.deletion_scores(chain, range(len(chain.reasoning_ids)), missing, objective))
    return gains if direction == "forward" else gains[::-1]
