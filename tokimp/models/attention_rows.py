"""What attention weights must be before they are given: distributions over the positions that a query may see."""

from __future__ import annotations

from typing import Any

import torch


def fault_in_rows(weights: Any, length: int, *, sink: bool) -> str:
    """Return what is wrong with the attention weights of a layer; an empty text if nothing is.

    Parameters
    ----------
    weights
        What a backend shows for the layer, which should be [head, query, key].
    length
        Length of the sequence, in tokens.
    sink
        Whether each head may give a part of its weight to a learned sink, which is no position (gpt-oss).
    """
    if not isinstance(weights, torch.Tensor):
        return f"they are {type(weights).__name__}, not numbers"
    if weights.ndim != 3 or tuple(weights.shape[1:]) != (length, length):
        return f"their shape is {tuple(weights.shape)}, not [head, {length}, {length}]"
    tolerance = 3e-2 if weights.dtype.itemsize == 2 else 1e-3
    sums = weights.sum(dim=-1, dtype=torch.float32)
    highest, lowest = float(sums.amax()), float(sums.amin())
    faults = [
        ("some are not finite", not bool(sums.isfinite().all())),
        ("some are negative", float(weights.amin()) < 0),
        ("later positions get weight", float(weights.triu(1).amax()) > 0),
        (f"those of a position add up to {highest:.3g}, not 1", highest > 1 + tolerance),
        (f"those of a position add up to {lowest:.3g}, not 1", lowest < 1 - tolerance and not sink),
    ]
    return next((fault for fault, is_there in faults if is_there), "")


def has_sink(module: torch.nn.Module) -> bool:
    """Return whether an attention module has a learned sink, as gpt-oss has."""
    return any("sink" in name for name, _ in module.named_parameters())


class SeenPositions:
    """The pairs of query and key for which a layer's mask allows attention, caught as the layer is called.

    A weight of 0 does not tell them: in float32 a small weight becomes 0 as well.

    Parameters
    ----------
    module
        An attention module.
    length
        Length of the sequence, in tokens.
    """

    def __init__(self, module: torch.nn.Module, length: int) -> None:
        # Without a mask, attention is plain causal attention.
        self.pairs = torch.ones(length, length, dtype=torch.bool).tril()
        self._handle = module.register_forward_pre_hook(self._catch, with_kwargs=True)
        for name, buffer in module.named_buffers():
            # Local layers of GPT-Neo keep a mask of their own.
            if name.rpartition(".")[2] == "bias" and buffer.ndim == 4 and buffer.shape[-1] >= length:
                self.pairs &= buffer[0, 0, :length, :length].cpu().bool()

    def remove(self) -> None:
        """Stop watching the module."""
        self._handle.remove()

    def _catch(self, module: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        length = len(self.pairs)
        for value in (named.get("attention_mask"), *arguments):
            if isinstance(value, torch.Tensor) and value.ndim == 4 and tuple(value.shape[2:]) == (length, length):
                self.pairs &= _allowed(value[0]).cpu()
                return


def _allowed(mask: torch.Tensor) -> torch.Tensor:
    """Return where a mask of transformers, [head, query, key], allows attention in some head, [query, key]."""
    if mask.is_floating_point():
        return (mask > torch.finfo(mask.dtype).min / 2).any(dim=0)
    # In most models true allows; in MPT it forbids. Every position may attend to itself.
    allowed = mask.bool()
    return (allowed if bool(allowed[0].diagonal().all()) else ~allowed).any(dim=0)
