"""Position: the baseline against which every other estimator is to be read."""

from __future__ import annotations

import numpy as np

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.estimator import Importance, ImportanceEstimator
from tokimp.contracts.objective import Objective
from tokimp.contracts.scorer import Scorer

__all__ = ["Position"]


class Position(ImportanceEstimator):
    """Calls a unit the more important the later it stands: its score is its index.

    It knows nothing of the model, the text or the objective. Other estimators often agree with it all the same: an
    answer tends to rest on the end of its reasoning, attention favours what is near, and what comes late has few
    tokens after it to disturb. Two estimators that both follow position agree with each other for that reason alone,
    so the agreement of each with this baseline says how much of their agreement position can explain.

    Examples
    --------
    >>> from tokimp.contracts.objective import Joint
    >>> from tokimp.testing import AdditiveScorer, toy_chain
    >>> Position().estimate(toy_chain("abc"), AdditiveScorer(), Joint()).scores.tolist()
    [0.0, 1.0, 2.0]
    """

    name = "position"

    def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
        """Return each unit's index among the chain's units, [unit]; neither scorer nor objective is asked."""
        return Importance(np.arange(len(chain.units), dtype=np.float64))
