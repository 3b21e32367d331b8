"""Rotary factors that change with the length of a sequence: let each sequence have those of its own length.

Longrope models (Phi-3-128k, Phi-3.5, Phi-4-mini, phimoe) have two sets of factors, one for sequences up to a border and
one for longer ones. Transformers chooses a set for a whole call, by the longest position in it. So a sequence would get
other numbers beside a longer one, without its last token, or when it is read in pieces. Here the scorer says how long
the sequences of a call are as wholes, and never puts sequences of both kinds into one call.

Dynamic NTK scaling grows its base with the longest sequence it has seen, and a scorer's model must not remember what it
read before. A scorer refuses sequences longer than ``max_position_embeddings``, from where on that base grows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from tokimp.errors import UnsupportedError


class RotarySwitch:
    """The length at which a model's rotary factors change, and the length that they are to be those of.

    Parameters
    ----------
    model
        A transformers decoder. Its rotary modules get hooks, if their factors change with the length.
    name
        The model's name, for errors.

    Attributes
    ----------
    border
        The longest sequence, in tokens, that is read with the first set of factors; ``None`` if there is one set only.
    changes
        Whether the factors depend on a sequence's length at all.

    Raises
    ------
    UnsupportedError
        If the configuration names such factors, and no module of the model is known to compute them.
    """

    def __init__(self, model: torch.nn.Module, name: str) -> None:
        self._length: int | None = None
        borders, dynamic = set(), False
        for module in model.modules():
            for layer_type, kind in _rope_types(module):
                if kind == "longrope":
                    borders.add(_border(module, layer_type))
                dynamic = dynamic or "dynamic" in kind
            if any(kind == "longrope" for _, kind in _rope_types(module)):
                module.register_forward_pre_hook(self._lengthen, with_kwargs=True)
                module.register_forward_hook(self._shorten)
            if any("dynamic" in kind for _, kind in _rope_types(module)):
                module.register_forward_pre_hook(_forget)
        kinds = _configured(model)
        if len(borders) > 1 or ("longrope" in kinds and not borders) or ("dynamic" in kinds and not dynamic):
            raise UnsupportedError(
                f"{name}: its rotary factors change with the length of a sequence ({', '.join(sorted(kinds))}) in a "
                "way that tokimp does not know, so numbers would depend on what shares a batch; use a model that "
                "transformers itself implements (without trust_remote_code)"
            )
        self.border = borders.pop() if borders else None
        self.changes = self.border is not None or dynamic

    def side(self, length: int) -> int:
        """Return which set of factors a whole sequence of some length gets: 0, or 1 above the border."""
        return int(self.border is not None and length > self.border)

    @contextmanager
    def sequences_of(self, length: int | None) -> Iterator[None]:
        """Use the factors of whole sequences of `length` tokens, prompt to answer; ``None``: of what a call reads."""
        self._length, outer = length, self._length
        try:
            yield
        finally:
            self._length = outer

    def _lengthen(self, module: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Add the last position of the whole sequence to those that the module is asked for."""
        if self._length is None:
            return None
        positions = named["position_ids"] if "position_ids" in named else arguments[1]
        last = positions.new_full((*positions.shape[:-1], 1), self._length - 1)
        positions = torch.cat([positions, torch.maximum(last, positions.amax())], dim=-1)
        if "position_ids" in named:
            return arguments, named | {"position_ids": positions}
        return (arguments[0], positions, *arguments[2:]), named

    def _shorten(self, module: Any, arguments: Any, output: Any) -> Any:
        """Take the added position out of the cosines and sines, [row, position, dimension]."""
        if self._length is None:
            return None
        return tuple(part[..., :-1, :] for part in output) if isinstance(output, tuple) else output[..., :-1, :]


def _rope_types(module: torch.nn.Module) -> list[tuple[str | None, str]]:
    """Return the kinds of rotary factors that a module computes, each with its layer type if it has several."""
    kinds: Any = getattr(module, "rope_type", None)
    if isinstance(kinds, str):
        return [(None, kinds)]
    return list(kinds.items()) if isinstance(kinds, dict) else []


def _border(module: Any, layer_type: str | None) -> int:
    parameters = module.config.rope_parameters
    return int((parameters if layer_type is None else parameters[layer_type])["original_max_position_embeddings"])


def _configured(model: Any) -> set[str]:
    """Return the kinds of factors that change with the length, as the configuration names them."""
    config = model.config.get_text_config(decoder=True)
    kinds = set()
    for name in ("rope_parameters", "rope_scaling"):
        fields = getattr(config, name, None) or {}
        for part in (fields, *fields.values()):
            if isinstance(part, dict):
                kinds.add(str(part.get("rope_type", part.get("type", ""))))
    # Phi-3's own code calls longrope "su".
    return {"longrope" if kind == "su" else kind for kind in kinds if kind in ("longrope", "su", "dynamic")}


def _forget(module: Any, arguments: Any) -> None:
    """Put a module with a dynamic base back to what it was before it read anything."""
    for layer_type, kind in _rope_types(module):
        if "dynamic" in kind:
            prefix = "" if layer_type is None else f"{layer_type}_"
            original = getattr(module, f"{prefix}original_inv_freq")
            current = getattr(module, f"{prefix}inv_freq")
            setattr(module, f"{prefix}inv_freq", original.to(current.device))
            setattr(module, f"{prefix}max_seq_len_cached", module.original_max_seq_len)
