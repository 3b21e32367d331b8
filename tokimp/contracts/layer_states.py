"""The states of one layer of a decoder: its residual stream, and what its attention adds to it, part by part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from tokimp.errors import UnsupportedError


def _not_shown(positions: Sequence[int]) -> torch.Tensor:
    raise UnsupportedError("this scorer does not show the queries of its layers")


@dataclass(frozen=True, slots=True)
class LayerStates:
    """What one layer (attention, and what follows it in the block) read, added and put out, for one sequence.

    All tensors are float32, on the scorer's device, and hold only while they are shown. The parts add up:
    ``middle = before + scale * (bias + sum over heads h of pattern[h] @ values[h] @ output[h])``.

    Attributes
    ----------
    layer
        The layer's number, from 0.
    before
        The residual stream that goes into the block, [position, d_model].
    middle
        The residual stream with what attention adds, [position, d_model].
    after
        The residual stream that the block puts out, [position, d_model].
    pattern
        The attention weights, [head, query, key].
    keys
        The keys as a cache keeps them (rotated, where positions are), [key-value head, position, dimension].
    values
        The value vectors that each head moves, [head, position, dimension]; heads of one group have the same.
    output
        Each head's slice of the output matrix, [head, dimension, d_model]. Where a norm follows attention, its weights
        are multiplied in.
    bias
        What attention adds whatever it moves, [d_model].
    scale
        What multiplies the sum at each position, [position]: 1, but for models with a norm after attention or with a
        multiplier of their own.
    finish
        Returns the block's output, [..., position, d_model], if attention put out something else before a norm after
        it, [..., position, d_model].
    projection
        What attention puts out for what its heads move, [position, head * dimension] to [position, d_model], before
        a norm after it.
    queries
        Returns the queries as they are on average over some positions (rotated to each of these, where positions are),
        [head, position, dimension]; scaled, so that the softmax takes their products with `keys`. It raises
        `UnsupportedError` where they are not known.
    """

    layer: int
    before: torch.Tensor
    middle: torch.Tensor
    after: torch.Tensor
    pattern: torch.Tensor
    keys: torch.Tensor
    values: torch.Tensor
    output: torch.Tensor
    bias: torch.Tensor
    scale: torch.Tensor
    finish: Callable[[torch.Tensor], torch.Tensor]
    projection: Callable[[torch.Tensor], torch.Tensor]
    queries: Callable[[Sequence[int]], torch.Tensor] = _not_shown

    def after_with_values(self, values: torch.Tensor) -> torch.Tensor:
        """Return the block's output, [..., position, d_model], if its heads moved other values by the same weights.

        Parameters
        ----------
        values
            In place of `values`, [..., head, position, dimension].
        """
        moved = (self.pattern @ values).transpose(-3, -2).flatten(-2)
        return self.finish(self.projection(moved))
