"""TOVA: a reasoning token is important when the last position attends to it."""

from __future__ import annotations

from typing import Literal

import torch

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.constraints import OneOf
from tokimp.contracts.estimator import Importance, ImportanceEstimator, sum_over_units
from tokimp.contracts.objective import Objective
from tokimp.contracts.scorer import Capability, Scorer
from tokimp_kv_cache.scales import SCALES, Scale, rescale

__all__ = ["TOVA"]


class TOVA(ImportanceEstimator):
    """Scores a unit by the attention that one last position gives it; the objective is not used.

    In each layer, a token's score is the attention weight that the last position gives it, as a mean over heads. Scores
    are brought onto one scale within a layer and averaged over layers; a unit has the sum over its tokens. No
    importance is below 0. The whole takes one pass over the full chain.

    TOVA (Oren et al. 2024, "Transformers are multi-state RNNs", arXiv 2401.06104) evicts from each layer's cache, token
    by token, the key that the newest position attends to least. Here the last position of a finished text ranks all
    reasoning tokens at once, and an average over layers gives each token one number; the newest key is not set apart.

    Parameters
    ----------
    last
        ``reasoning``: the last reasoning token, which predicts the answer's first token. Its attention to itself
        counts. ``answer``: the position that predicts the last answer token. If the prompt format closes the turn,
        it has seen the whole answer.
    scale
        Within a layer: ``share`` of the reasoning's scores, ``rank`` among them (from 0 to 1), or ``none``.

    Examples
    --------
    >>> from tokimp.contracts.objective import Joint
    >>> from tokimp.testing import AdditiveScorer, toy_chain
    >>> TOVA().estimate(toy_chain("ab"), AdditiveScorer(), Joint()).scores.tolist()  # attends evenly
    [0.5, 0.5]
    """

    name = "tova"
    requires = frozenset({Capability.ATTENTION})
    constraints = {"last": OneOf("reasoning", "answer"), "scale": OneOf(*SCALES)}

    def __init__(self, last: Literal["reasoning", "answer"] = "reasoning", scale: Scale = "share") -> None:
        self.last = last
        self.scale = scale

    def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
        """Return the attention each unit gets from the last position, [unit]; `objective` is not used.

        Raises
        ------
        EstimatorError
            If a parameter is not allowed.
        """
        self.validate_parameters()
        start, stop = chain.reasoning_span
        row = stop - 1 if self.last == "reasoning" else len(chain) - 2

        def reduce(layer: torch.Tensor) -> torch.Tensor:
            return rescale(layer[:, row, start:stop].float().mean(dim=0), self.scale)

        return Importance(sum_over_units(chain, scorer.attention(chain, reduce=reduce).mean(axis=0)))
