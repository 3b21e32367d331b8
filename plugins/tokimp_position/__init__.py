"""Position: the baseline that every other estimator is compared with."""

from __future__ import annotations

import numpy as np

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.estimator import Importance, ImportanceEstimator
from tokimp.contracts.objective import Objective
from tokimp.contracts.scorer import Scorer

__all__ = ["Position"]


class Position(ImportanceEstimator):
    """Calls later units more important: a unit's score is its index.

    It knows nothing of the model, the text or the objective. Other estimators often agree with it all the same. Answers
    tend to rest on the end of the reasoning, attention favours tokens that are near, and a late token has few tokens
    after it that its deletion could disturb. Two estimators that both follow position agree for that reason alone. The
    agreement of each with this baseline shows how much of their agreement position can explain.

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
