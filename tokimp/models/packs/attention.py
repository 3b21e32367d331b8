"""Attention within the rows of a pack, in the form in which transformers calls it."""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import AttentionInterface

from tokimp.chains.arrays import IntArray
from tokimp.models.packs.pack import Pack

ATTENTION = "tokimp_packed"
"""The name under which transformers finds the attention of packs."""

_HALF = (torch.bfloat16, torch.float16)

# What some architectures pass to their attention and a pack does not know: soft-capping, sinks, biases by distance.
_UNKNOWN_TO_PACKS = ("softcap", "s_aux", "position_bias")


class PackLayout:
    """Where the rows of a pack lie, as its attention needs it: borders on the device, and masks made once a pack.

    Parameters
    ----------
    pack, device
        What is read, and where.

    Attributes
    ----------
    windows
        The sliding window that each layer asked for, in their order.
    """

    def __init__(self, pack: Pack, device: torch.device) -> None:
        self._device = device
        self._queries, self._keys = np.diff(pack.row_starts), np.diff(pack.key_starts)
        self._starts = pack.row_starts[:-1], pack.key_starts[:-1]
        self.most_queries, self.most_keys = int(self._queries.max()), int(self._keys.max())
        self._masks: dict[int, torch.Tensor] = {}
        self._borders = pack.row_starts, pack.key_starts
        self.windows: list[int | None] = []

    @functools.cached_property
    def borders(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Where rows begin among the queries and among the keys, int32, [row + 1] each."""
        queries, keys = (torch.from_numpy(starts.astype(np.int32)).to(self._device) for starts in self._borders)
        return queries, keys

    @functools.cached_property
    def padded(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Indices that make rectangles of queries and keys, filled up on the left, and those that undo the former.

        Returns
        -------
        queries, keys, back
            [row, most queries], [row, most keys], [position].
        """
        queries, there = self._rectangle(self._starts[0], self._queries, self.most_queries)
        keys, _ = self._rectangle(self._starts[1], self._keys, self.most_keys)
        return queries, keys, torch.from_numpy(np.flatnonzero(there.ravel())).to(self._device)

    def _rectangle(self, starts: IntArray, lengths: IntArray, width: int) -> tuple[torch.Tensor, Any]:
        place = np.arange(width)[None] - (width - lengths)[:, None]
        there = place >= 0
        return torch.from_numpy(np.where(there, place + starts[:, None], 0)).to(self._device), there

    def mask(self, window: int | None) -> torch.Tensor:
        """Return which keys a query of the rectangles attends to, [row, 1, query, key]; made once for each window."""
        size = window or 0
        if size not in self._masks:
            query = np.arange(self.most_queries)[:, None] + (self.most_keys - self.most_queries)
            key = np.arange(self.most_keys)[None]
            seen = key <= query
            if size:
                seen &= query - key < size
            allowed = seen[None] & (key >= (self.most_keys - self._keys)[:, None])[:, None, :]
            # A query that only fills up attends to all, since a softmax over nothing is no number.
            allowed |= (np.arange(self.most_queries)[None] < (self.most_queries - self._queries)[:, None])[:, :, None]
            self._masks[size] = torch.from_numpy(allowed[:, None]).to(self._device)
        return self._masks[size]


def attend_within_rows(  # noqa: PLR0917 - transformers gives the first five by position
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    pack_layout: PackLayout | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """Attend from each position of a pack to its own row, causally; transformers calls this in every layer.

    Parameters
    ----------
    module, attention_mask, dropout
        Not used: a pack knows its rows itself.
    query
        [1, head, position, dimension]
    key, value
        [1, key head, key, dimension], rows laid end to end.
    scaling
        What products are multiplied with before the softmax.
    sliding_window
        How many keys, its own included, a position sees; ``None`` for all before it.
    pack_layout
        Where the rows lie.

    Returns
    -------
    torch.Tensor, None
        [1, position, head, dimension]; no weights.

    Raises
    ------
    NotImplementedError
        If the layer asks for something that a pack cannot express.
    """
    asked = [name for name in _UNKNOWN_TO_PACKS if others.get(name) is not None]
    if asked or pack_layout is None:
        raise NotImplementedError(f"attention with {', '.join(asked) or 'no layout'}")
    pack_layout.windows.append(sliding_window)
    queries, keys, values = (tensor[0].transpose(0, 1) for tensor in (query, key, value))
    grouped = queries.shape[1] != keys.shape[1]
    if queries.is_cuda and queries.dtype in _HALF and (kernel := _variable_length_kernel()) is not None:
        if grouped and not kernel.takes_groups:
            keys, values = (t.repeat_interleave(queries.shape[1] // t.shape[1], dim=1) for t in (keys, values))
        begin, key_begin = pack_layout.borders
        found = kernel.attend(
            queries.contiguous(),
            keys.contiguous(),
            values.contiguous(),
            begin,
            key_begin,
            pack_layout.most_queries,
            pack_layout.most_keys,
            scale=scaling,
            window_size=((sliding_window or 0) - 1, 0),
            **({"enable_gqa": grouped} if kernel.asks_for_groups else {}),
        )
        return found[None], None
    query_at, key_at, back = pack_layout.padded
    padded_queries, padded_keys, padded_values = (
        tensor[at].transpose(1, 2) for tensor, at in ((queries, query_at), (keys, key_at), (values, key_at))
    )
    mixed = torch.nn.functional.scaled_dot_product_attention(
        padded_queries,
        padded_keys,
        padded_values,
        attn_mask=pack_layout.mask(sliding_window),
        scale=scaling,
        enable_gqa=grouped,
    )
    rows = mixed.transpose(1, 2).flatten(0, 1)
    return rows[back][None], None


@dataclass(frozen=True)
class _VariableLengthKernel:
    attend: Any
    asks_for_groups: bool
    takes_groups: bool


@functools.cache
def _variable_length_kernel() -> _VariableLengthKernel | None:
    """Return torch's attention over rows of unequal length; ``None`` where this torch has none that takes windows."""
    try:
        from torch.nn.attention.varlen import varlen_attn  # noqa: PLC0415 - torch 2.10 and newer
    except ImportError:
        return None
    known = inspect.signature(varlen_attn).parameters
    if "window_size" not in known:
        return None
    return _VariableLengthKernel(
        varlen_attn, "enable_gqa" in known, "enable_gqa" in known or _attends_in_groups(varlen_attn)
    )


def _attends_in_groups(attend: Any) -> bool:
    """Tell whether a kernel without an option for it lets several heads share keys and values; tried on four tokens."""
    borders = torch.tensor([0, 4], dtype=torch.int32, device="cuda")
    generator = torch.Generator("cuda").manual_seed(0)
    query, key, value = (
        torch.randn(4, heads, 64, device="cuda", dtype=torch.bfloat16, generator=generator) for heads in (4, 2, 2)
    )
    try:
        grouped = attend(query, key, value, borders, borders, 4, 4, window_size=(-1, 0))
    except (RuntimeError, ValueError):
        return False
    repeated = (tensor.repeat_interleave(2, dim=1) for tensor in (key, value))
    return torch.allclose(grouped, attend(query, *repeated, borders, borders, 4, 4, window_size=(-1, 0)), atol=1e-2)


AttentionInterface.register(ATTENTION, attend_within_rows)
