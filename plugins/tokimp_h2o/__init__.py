"""H2O: a reasoning token is important when it is a heavy hitter, one that gathers attention."""

from __future__ import annotations

import torch

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.constraints import TrueOrFalse
from tokimp.contracts.estimator import Importance, ImportanceEstimator, sum_over_units
from tokimp.contracts.objective import Objective
from tokimp.contracts.scorer import Capability, Scorer

__all__ = ["H2O"]


class H2O(ImportanceEstimator):
    """Scores a unit by the attention that accumulates on it; the objective is not used.

    In each layer and head, a token's score is the sum of the weights that all later positions give it, those of its own
    unit and of the answer included. Its attention to itself does not count. A unit's importance is the sum over its
    tokens, as the mean over layers and heads. The whole takes one pass over the full chain.

    The heavy hitters of Zhang et al. 2023 ("H2O: Heavy-hitter oracle for efficient generative inference of large
    language models", sections 3.2 and 4) are those of the plain sum, ``normalise=False``. A late token has fewer
    positions after it than an early one, so the plain sum favours early tokens for that reason alone: read it beside
    `position`. H2O itself does more than rank the tokens of a finished chain. It counts a token's attention to itself,
    evicts tokens while it generates, each head on its own, and always keeps the most recent ones.

    Parameters
    ----------
    normalise
        Whether to divide a token's sum by the number of positions after it, which gives the mean. Positions that cannot
        see the token, because a layer's sliding window has moved on, count here. ``attention:query=later`` leaves them
        out; without such positions, both are the same.

    Examples
    --------
    >>> from tokimp.contracts.objective import Joint
    >>> from tokimp.testing import AdditiveScorer, toy_chain
    >>> evenly = AdditiveScorer()  # without contributions, each position attends evenly to all it can see
    >>> H2O().estimate(toy_chain("ab"), evenly, Joint()).scores.round(3).tolist()  # 1/3 + 1/4, and 1/4
    [0.583, 0.25]
    """

    name = "h2o"
    requires = frozenset({Capability.ATTENTION})
    constraints = {"normalise": TrueOrFalse()}

    def __init__(self, normalise: bool = False) -> None:
        self.normalise = normalise

    def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
        """Return the attention accumulated on each unit, [unit]; `objective` is not used.

        Raises
        ------
        EstimatorError
            If a parameter is not allowed.
        """
        self.validate_parameters()
        start, stop = chain.reasoning_span

        def received(weights: torch.Tensor) -> torch.Tensor:
            # Column k of the strict lower triangle has the weights that the positions after k give to k.
            total = weights.tril(-1)[:, :, start:stop].sum(dim=1)
            if self.normalise:
                total = total / torch.arange(len(chain) - 1 - start, len(chain) - 1 - stop, -1, device=weights.device)
            return total.mean(dim=0)

        return Importance(sum_over_units(chain, scorer.attention(chain, reduce=received).mean(axis=0)))
