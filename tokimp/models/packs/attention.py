"""Attention within the rows of a pack, in the form in which transformers calls it."""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import AttentionInterface
from transformers.cache_utils import Cache

from tokimp.chains.arrays import IntArray
from tokimp.models.deletion.plan import cheapest_groups
from tokimp.models.packs.pack import Pack
from tokimp.models.packs.transfer import to_device

ATTENTION = "tokimp_packed"
"""The name under which transformers finds the attention of packs."""

_HALF = (torch.bfloat16, torch.float16)

# Where rows are padded, a further group of rows costs about as much as so many padded queries. On a GPU every group is
# some ten launches in each layer.
_GROUP_COST = {"cpu": 32, "": 2048}

# What some architectures pass to their attention and a pack does not know: soft-capping, sinks, biases by distance.
_UNKNOWN_TO_PACKS = ("softcap", "s_aux", "position_bias")


class PackLayout:
    """Where the rows of a pack lie, as its attention needs it: borders on the device, and masks made once a pack.

    Parameters
    ----------
    pack, device
        What is read, and where.
    storage
        Stores what a layer computes and returns what its rows attend to, for an attention that does so itself
        (`tokimp.models.packs.compiling`).

    Attributes
    ----------
    windows
        The sliding window that each layer asked for, in their order.
    """

    def __init__(self, pack: Pack, device: torch.device, storage: Cache | None = None) -> None:
        self._device, self._storage = device, storage
        self._queries, self._keys = np.diff(pack.row_starts), np.diff(pack.key_starts)
        self._starts = pack.row_starts[:-1], pack.key_starts[:-1]
        self.most_queries, self.most_keys = int(self._queries.max()), int(self._keys.max())
        self._borders = pack.row_starts, pack.key_starts
        self.windows: list[int | None] = []

    def stored(self, keys: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Store the keys and values of the next layer, and return those of all rows.

        Parameters
        ----------
        keys, values
            What the layer computes, [1, head, position, dimension].

        Returns
        -------
        torch.Tensor, torch.Tensor
            Rows laid end to end, [1, head, key, dimension].
        """
        if self._storage is None:
            raise RuntimeError("this pack's keys and values are stored by its cache")
        found: tuple[torch.Tensor, torch.Tensor] = self._storage.update(keys, values, len(self.windows))
        return found

    @functools.cached_property
    def borders(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Where rows begin among the queries and among the keys, int32, [row + 1] each."""
        queries, keys = to_device(self._borders, self._device)
        return queries.to(torch.int32), keys.to(torch.int32)

    @functools.cached_property
    def rectangles(self) -> tuple[list[Rectangle], torch.Tensor | None]:
        """Rows of similar length together, and where each position of the pack is found in what they give.

        The latter is ``None`` where positions come in the order of the pack.
        """
        order = np.argsort(-self._queries, kind="stable")
        groups = [order[first:stop] for first, stop in cheapest_groups(self._queries[order], self._cost_of_a_group)]
        if len(groups) == 1:
            groups = [np.sort(order)]
        rectangles = [self._rectangle(rows) for rows in groups]
        order = np.concatenate(groups)
        if (np.diff(order) == 1).all():
            return rectangles, None
        places = [np.arange(self._queries[row]) + self._starts[0][row] for row in order.tolist()]
        return rectangles, to_device([np.argsort(np.concatenate(places))], self._device)[0]

    @property
    def _cost_of_a_group(self) -> int:
        return _GROUP_COST.get(self._device.type, _GROUP_COST[""])

    def _rectangle(self, rows: IntArray) -> Rectangle:
        queries, keys = self._queries[rows], self._keys[rows]
        query_at, is_query = _filled_on_the_left(self._starts[0][rows], queries)
        key_at, _ = _filled_on_the_left(self._starts[1][rows], keys)
        arrays = [query_at, key_at, np.flatnonzero(is_query.ravel())]
        on_queries, on_keys, there = to_device(arrays, self._device)
        return Rectangle(queries, keys, on_queries, on_keys, there)


@dataclass(eq=False)
class Rectangle:
    """Rows of a pack that are padded to one length, filled up on the left.

    Attributes
    ----------
    n_queries, n_keys
        How many queries and keys each row has, [row].
    queries, keys
        Their indices in the pack, [row, most queries] and [row, most keys].
    there
        Which of the former are no padding: indices into the flattened rectangle, [position].
    masks
        For each window, which keys a query attends to, [row, 1, query, key]; made when first asked for.
    """

    n_queries: IntArray
    n_keys: IntArray
    queries: torch.Tensor
    keys: torch.Tensor
    there: torch.Tensor
    masks: dict[int, torch.Tensor] = field(default_factory=dict)

    def mask(self, window: int | None) -> torch.Tensor:
        """Return which keys a query attends to, [row, 1, query, key]."""
        size = window or 0
        if size not in self.masks:
            most_queries, most_keys = self.queries.shape[1], self.keys.shape[1]
            query = np.arange(most_queries)[:, None] + (most_keys - most_queries)
            key = np.arange(most_keys)[None]
            seen = key <= query
            if size:
                seen &= query - key < size
            allowed = seen[None] & (key >= (most_keys - self.n_keys)[:, None])[:, None, :]
            # A query that only fills up attends to all, since a softmax over nothing is no number.
            allowed |= (np.arange(most_queries)[None] < (most_queries - self.n_queries)[:, None])[:, :, None]
            self.masks[size] = torch.from_numpy(allowed[:, None]).to(self.queries.device)
        return self.masks[size]


def _filled_on_the_left(starts: IntArray, lengths: IntArray) -> tuple[IntArray, npt.NDArray[np.bool_]]:
    """Return indices of rows that begin at `starts`, [row, longest], and which of them are no padding."""
    width = int(lengths.max())
    place = np.arange(width)[None] - (width - lengths)[:, None]
    is_there = place >= 0
    return np.where(is_there, place + starts[:, None], 0), is_there


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
        attended = kernel.attend(
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
        return attended[None], None
    rectangles, order = pack_layout.rectangles
    mixed = []
    for rows in rectangles:
        row_queries, row_keys, row_values = (
            tensor[at].transpose(1, 2)
            for tensor, at in ((queries, rows.queries), (keys, rows.keys), (values, rows.keys))
        )
        attended = torch.nn.functional.scaled_dot_product_attention(
            row_queries,
            row_keys,
            row_values,
            attn_mask=rows.mask(sliding_window),
            scale=scaling,
            enable_gqa=grouped,
        )
        mixed.append(attended.transpose(1, 2).flatten(0, 1)[rows.there])
    found = mixed[0] if len(mixed) == 1 else torch.cat(mixed)
    return (found if order is None else found[order])[None], None


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
