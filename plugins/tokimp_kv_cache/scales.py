"""How the scores of a layer's heads become comparable before they are averaged."""

from __future__ import annotations

from typing import Literal

import torch

Scale = Literal["share", "rank", "none"]
SCALES = ("share", "rank", "none")


def rescale(scores: torch.Tensor, scale: str) -> torch.Tensor:
    """Return scores, [..., token], on a scale that heads and layers have in common.

    Parameters
    ----------
    scores
        Of the reasoning tokens.
    scale
        ``share``: divided by their sum over the tokens (left at 0 where that is 0). ``rank``: the share of the other
        tokens that have a lower score, ties counting half. ``none``: as they are.

    Examples
    --------
    >>> rescale(torch.tensor([1.0, 3.0, 4.0]), "share").tolist()
    [0.125, 0.375, 0.5]
    >>> rescale(torch.tensor([1.0, 4.0, 4.0]), "rank").tolist()
    [0.0, 0.75, 0.75]
    """
    if scale == "share":
        total = scores.sum(dim=-1, keepdim=True)
        return torch.where(total > 0, scores / total, torch.zeros_like(scores))
    if scale == "rank":
        # Sorted searches rather than all pairs, which would take the square of a chain's length.
        ordered = scores.contiguous().sort(dim=-1).values
        below = torch.searchsorted(ordered, scores.contiguous(), right=False)
        not_above = torch.searchsorted(ordered, scores.contiguous(), right=True)
        others = max(1, scores.shape[-1] - 1)
        return (below + not_above - 1).to(scores.dtype) / 2 / others
    return scores
