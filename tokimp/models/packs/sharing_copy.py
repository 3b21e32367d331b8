"""A copy of a model's modules that shares its weights."""

from __future__ import annotations

import copy
from typing import Any

import torch


def sharing_copy(model: Any, attention: str | None) -> Any:
    """Return a copy of a model's modules that shares its weights.

    Parameters
    ----------
    model
        A transformers model, left as it is.
    attention
        How the copy computes attention, a name of transformers'; ``None`` as the model does.
    """
    tensors = {id(tensor): tensor for tensor in [*model.parameters(), *model.buffers()]}
    twin = copy.deepcopy(model, tensors | _kept_outside(model))
    if attention is not None:
        twin.set_attn_implementation(attention)
    return twin


def detached_copy(model: Any) -> Any:
    """Return a copy of a model's modules whose weights are tensors of their own over the same memory.

    Moving or converting a weight of the copy, or turning its gradient off, leaves the model as it is. Changing numbers
    in place changes both.
    """
    tensors: dict[int, Any] = {id(buffer): buffer.detach() for buffer in model.buffers()}
    for parameter in model.parameters():
        # Quantised weights are of classes of their own, which keep more than the numbers; they are shared as they are.
        plain = type(parameter) is torch.nn.Parameter and type(parameter.data) is torch.Tensor
        own = torch.nn.Parameter(parameter.detach(), requires_grad=False) if plain else parameter
        tensors[id(parameter)] = own
    return copy.deepcopy(model, tensors | _kept_outside(model))


def _kept_outside(model: torch.nn.Module) -> dict[int, Any]:
    """Return what accelerate's hooks hold of offloaded weights, by its identity: a copy must not hold them again."""
    hooks = [module._hf_hook for module in model.modules() if hasattr(module, "_hf_hook")]
    held = [getattr(hook, name, None) for hook in hooks for name in ("weights_map", "tied_params_map")]
    return {id(weights): weights for weights in held if weights is not None}
