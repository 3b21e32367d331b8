"""A layer in closed form, whose states a test gives."""

from __future__ import annotations

import torch

from tokimp.contracts.layer_states import LayerStates


def layer_of(before: torch.Tensor, pattern: torch.Tensor, values: torch.Tensor, output: torch.Tensor) -> LayerStates:
    """Return the states of a layer in which nothing follows attention; shapes as in `LayerStates`."""
    added = torch.einsum("hqk,hkd,hdm->qm", pattern, values, output)
    return LayerStates(
        layer=0,
        before=before,
        middle=before + added,
        after=before + added,
        pattern=pattern,
        keys=values,
        values=values,
        output=output,
        bias=torch.zeros(before.shape[1]),
        scale=torch.ones(len(before)),
        finish=lambda put_out: before + put_out,
        projection=lambda moved: moved @ output.flatten(0, 1),
    )
