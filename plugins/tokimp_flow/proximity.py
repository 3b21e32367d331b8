"""Shares of the parts that a vector is the sum of, by proximity."""

from __future__ import annotations

import torch

from tokimp.contracts.layer_states import LayerStates


def shares(proximities: torch.Tensor) -> torch.Tensor:
    """Return proximities divided by their sum; all 0 where none is above 0."""
    total = proximities.sum()
    return proximities / total if total > 0 else torch.zeros_like(proximities)


def proximity(whole: torch.Tensor, parts: torch.Tensor) -> torch.Tensor:
    """Return how near each part comes to the whole: ``max(0, |whole| - |whole - part|)`` with L1 norms, [...].

    Parameters
    ----------
    whole
        [d]
    parts
        [..., d]

    Examples
    --------
    >>> proximity(torch.tensor([3.0, 1.0]), torch.tensor([[2.0, 0.0], [0.0, 1.0], [1.0, 0.0]])).tolist()
    [2.0, 1.0, 1.0]
    """
    return (whole.abs().sum() - (whole - parts).abs().sum(dim=-1)).clamp(min=0)


def flow_into(states: LayerStates, sinks: torch.Tensor) -> torch.Tensor:
    """Return each key's share of what attention brings into some positions in one layer, [key].

    The sinks' vectors are added first. The whole is then their residual stream after attention, and the parts are the
    residual stream before it and, for each key and head, what the head moves from the key. A key's share is the sum
    over heads; the residual stream's own is left out, and so is that of biases.

    Parameters
    ----------
    states
        The layer's states.
    sinks
        The weight of each position, 0 for those that are no sinks, [position].
    """
    whole = sinks @ states.middle
    residual = proximity(whole, sinks @ states.before)
    # What a head moves is scaled at each sink by the norm after attention, where there is one.
    received = torch.einsum("q,hqk->hk", sinks * states.scale, states.pattern)
    near = torch.zeros_like(received)
    for head in range(len(received)):
        parts = received[head, :, None] * (states.values[head] @ states.output[head])
        near[head] = proximity(whole, parts)
    shared = shares(torch.cat([near.flatten(), residual[None]]))
    return shared[:-1].view_as(near).sum(dim=0)
