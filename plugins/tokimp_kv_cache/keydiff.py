"""KeyDiff: a reasoning token is important when its key points elsewhere than the others."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.constraints import OneOf
from tokimp.contracts.estimator import Importance, ImportanceEstimator
from tokimp.contracts.layer_states import LayerStates
from tokimp.contracts.objective import Objective
from tokimp.contracts.scorer import Capability, Scorer
from tokimp_kv_cache.scales import rescale

__all__ = ["KeyDiff"]


class KeyDiff(ImportanceEstimator):
    """Scores a unit by how far its keys point away from the mean key; neither answer nor objective is used.

    In each layer and key-value head, a token's score is ``-cos(k, mean of k' / |k'|)``, over the keys k' of prompt and
    reasoning as a cache keeps them, with positions rotated in. Scores are brought onto one scale within a head and
    averaged over heads and layers. A unit has the mean over its tokens: the scores are an order, and a sum would make
    long units low. The whole takes one pass over the full chain.

    KeyDiff (Park et al. 2025, arXiv 2504.15364) evicts from each head's cache the keys that are most like the others.
    It needs no attention, so nothing says what a key is attended to for.

    Parameters
    ----------
    scale
        Within a head: ``rank`` among the reasoning's tokens (from 0 to 1), or ``none``.

    Examples
    --------
    >>> from tokimp.contracts.objective import Joint
    >>> from tokimp.testing import AdditiveScorer, toy_chain
    >>> points_elsewhere = AdditiveScorer({"b": -5.0})
    >>> KeyDiff().estimate(toy_chain("aaba"), points_elsewhere, Joint()).scores.round(2).tolist()
    [0.33, 0.33, 1.0, 0.33]
    """

    name = "keydiff"
    requires = frozenset({Capability.STATES})
    constraints = {"scale": OneOf("rank", "none")}

    def __init__(self, scale: Literal["rank", "none"] = "rank") -> None:
        self.scale = scale

    def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
        """Return how far each unit's keys point away, [unit]; `objective` is not used.

        Raises
        ------
        EstimatorError
            If a parameter is not allowed.
        """
        self.validate_parameters()
        start, stop = chain.reasoning_span

        def reduce(states: LayerStates) -> torch.Tensor:
            return rescale(key_difference(states.keys[:, :stop])[:, start:], self.scale).mean(dim=0)

        scores = scorer.states(chain, reduce).mean(axis=0, dtype=np.float64)
        return Importance(np.array([scores[list(unit)].mean() for unit in chain.units]))


def key_difference(keys: torch.Tensor) -> torch.Tensor:
    """Return minus the cosine between each key and the mean of all directions, [head, key].

    Parameters
    ----------
    keys
        [head, key, dimension]

    Examples
    --------
    >>> key_difference(torch.tensor([[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]])).round(decimals=4).tolist()
    [[-0.8944000005722046, -0.8944000005722046, -0.4472000002861023]]
    """
    directions = torch.nn.functional.normalize(keys, dim=-1)
    anchor = torch.nn.functional.normalize(directions.mean(dim=1, keepdim=True), dim=-1)
    return -(directions * anchor).sum(dim=-1)
