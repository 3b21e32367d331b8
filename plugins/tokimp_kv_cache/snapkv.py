"""SnapKV: a reasoning token is important when a window of last positions attends to it and to its neighbours."""

from __future__ import annotations

from typing import Literal

import torch
from torch.nn.functional import avg_pool1d, max_pool1d

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.constraints import OneOf, WholeNumber
from tokimp.contracts.estimator import Importance, ImportanceEstimator, sum_over_units
from tokimp.contracts.objective import Objective
from tokimp.contracts.scorer import Capability, Scorer
from tokimp_kv_cache.scales import SCALES, Scale, rescale

__all__ = ["SnapKV"]


class SnapKV(ImportanceEstimator):
    """Scores a unit by the pooled attention of a window of last positions; the objective is not used.

    In each layer and head, a key's score is the mean attention weight that the positions of a window give it, pooled
    over `kernel` neighbouring keys of the whole sequence. Scores are brought onto one scale within a head and averaged
    over heads and layers; a unit has the sum over its tokens. No importance is below 0. The whole takes one pass over
    the full chain.

    SnapKV (Li et al. 2024, "SnapKV: LLM knows what you are looking for before generation", arXiv 2404.14469) keeps in
    each head's cache the keys of highest score, and always those of the window. Here keys in the window are not set
    apart: they have their true mean, over all positions of the window, and the diagnostic ``units_in_window`` counts
    the units that this makes weak. Scores are averaged over all heads, not first within the groups that share a key.
    Window and kernel are those of NVIDIA's kvpress; the authors' code has windows of 32.

    Parameters
    ----------
    window
        ``reasoning``: the last `size` positions of the reasoning, or all if there are fewer. ``answer``: the positions
        that answer tokens are predicted from, which makes the score answer-aware; with ``kernel=1`` and ``scale=none``
        it equals ``attention:query=answer``.
    size
        Positions in the window; not used for ``answer``.
    kernel
        How many neighbouring keys are pooled, an odd number; 1 pools nothing. Pooling leaks over the borders of units
        and of the reasoning.
    pooling
        ``mean`` or ``max``. Beyond either end of the sequence, a mean counts zeros.
    scale
        Within a head: ``share`` of the reasoning's scores, ``rank`` among them (from 0 to 1), or ``none``.

    Examples
    --------
    >>> from tokimp.contracts.objective import Joint
    >>> from tokimp.testing import AdditiveScorer, toy_chain
    >>> SnapKV("answer", kernel=1).estimate(toy_chain("ab"), AdditiveScorer(), Joint()).scores.tolist()
    [0.5, 0.5]
    """

    name = "snapkv"
    requires = frozenset({Capability.ATTENTION})
    constraints = {
        "window": OneOf("reasoning", "answer"),
        "size": WholeNumber(1),
        "kernel": WholeNumber(1),
        "pooling": OneOf("mean", "max"),
        "scale": OneOf(*SCALES),
    }

    def __init__(
        self,
        window: Literal["reasoning", "answer"] = "reasoning",
        size: int = 64,
        kernel: int = 5,
        pooling: Literal["mean", "max"] = "mean",
        scale: Scale = "share",
    ) -> None:
        self.window = window
        self.size = size
        self.kernel = kernel
        self.pooling = pooling
        self.scale = scale

    def validate_parameters(self) -> None:
        """Raise `EstimatorError` if a parameter is not allowed."""
        super().validate_parameters()
        if self.kernel % 2 == 0:
            raise self.invalid_parameter("kernel", "an odd whole number, so that a key is in the middle")

    def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
        """Return the pooled attention that each unit gets, [unit]; `objective` is not used.

        Raises
        ------
        EstimatorError
            If a parameter is not allowed.
        """
        self.validate_parameters()
        start, stop = chain.reasoning_span
        rows = slice(max(start, stop - self.size), stop)
        if self.window == "answer":
            rows = slice(stop - 1, len(chain) - 1)

        def reduce(layer: torch.Tensor) -> torch.Tensor:
            pool = avg_pool1d if self.pooling == "mean" else max_pool1d
            pooled = pool(layer[:, rows].float().mean(dim=1), self.kernel, stride=1, padding=self.kernel // 2)
            return rescale(pooled[:, start:stop], self.scale).mean(dim=0)

        scores = sum_over_units(chain, scorer.attention(chain, reduce=reduce).mean(axis=0))
        inside = sum(any(rows.start <= start + position for position in unit) for unit in chain.units)
        return Importance(scores, diagnostics={"units_in_window": float(inside)})
