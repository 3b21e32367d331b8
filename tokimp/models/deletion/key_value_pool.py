"""Stored keys and values, one slot for each token position, so that sequences with a common prefix share its slots.

A stored sequence is a list of slots. A slot can be used by many sequences, but only at one position: rotary models
turn keys to their position before they are stored.

Every cache here consists of plain `DynamicLayer`, which keep all positions, also for models with a sliding window.
Attention then masks what lies outside the window, as it does without a cache. So any prefix can be cut off and
continued exactly.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from transformers.cache_utils import DynamicCache, DynamicLayer

from tokimp.chains.arrays import IntArray
from tokimp.models.trial import rounding_bytes

_SPARE = 256  # slots to spare when a pool grows: growing copies the whole pool, so it should be rare


def new_cache() -> DynamicCache:
    """Return an empty cache in which every layer keeps all positions."""
    return DynamicCache()


class GatheredLayer(DynamicLayer):
    """A cache layer that begins with stored positions and has room for the positions that are read next.

    `DynamicLayer` copies all stored positions whenever some are added. This one has a buffer of the final size, of
    which the first `past` positions are filled, and writes new positions into the rest.

    Parameters
    ----------
    keys, values
        The buffers, [row, position, head, dimension].
    past
        How many positions are filled.
    """

    def __init__(self, keys: torch.Tensor, values: torch.Tensor, past: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # transformers leaves it untyped
        self.lazy_initialization(keys, values)
        self._keys, self._values = keys, values  # [row, position, head, dimension]
        self.rewind(past)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append keys and values, [row, head, position, dimension]; return all that are stored, in the same layout."""
        first = self.get_seq_length()
        end = first + key_states.shape[-2]
        self._keys[:, first:end] = key_states.transpose(1, 2)
        self._values[:, first:end] = value_states.transpose(1, 2)
        return self.rewind(end)

    def rewind(self, length: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Cut back to the first `length` positions; return their keys and values, [row, head, position, dimension]."""
        keys, values = (buffer[:, :length].transpose(1, 2) for buffer in (self._keys, self._values))
        self.keys, self.values = keys, values
        return keys, values


class KeyValuePool:
    """Slots that hold the keys and values of one token position in every layer.

    A slot is in use as long as at least one sequence uses it: `allocate` counts the first use, `hold` one more, and
    `release` one less. A slot that nobody uses is free. `hold` and `release` may be given the slots of many sequences
    at once; a slot then counts as often as it is there.

    Attributes
    ----------
    position_bytes
        Memory that one slot takes, in bytes; 0 until something is written.
    """

    def __init__(self) -> None:
        self._layers: list[tuple[torch.Tensor, torch.Tensor]] = []  # keys and values, [slot, head, dimension]
        self._uses = np.zeros(0, dtype=np.int64)
        self._free: IntArray = np.zeros(0, dtype=np.int64)  # a stack, filled up to `_n_free`
        self._n_free = 0
        self.position_bytes = 0

    @property
    def used(self) -> int:
        """The number of slots in use."""
        return len(self._uses) - self._n_free

    def reserve(self, capacity: int) -> None:
        """Grow to at least `capacity` slots in all; slots in use keep their number and content."""
        old_capacity = len(self._uses)
        if capacity <= old_capacity:
            return
        for layer, (keys, values) in enumerate(self._layers):
            self._layers[layer] = (_grown(keys, capacity), _grown(values, capacity))
        self._uses = np.concatenate([self._uses, np.zeros(capacity - old_capacity, dtype=np.int64)])
        # The last one is given out first, so these come before the slots that were freed.
        new = np.arange(capacity - 1, old_capacity - 1, -1)
        free = np.concatenate([self._free[: self._n_free], new])
        self._free, self._n_free = np.pad(free, (0, capacity - len(free))), len(free)

    def allocate(self, count: int) -> IntArray:
        """Return `count` free slots, now with one use each; the pool grows if it has to."""
        if count > self._n_free:
            self.reserve(self.used + count + max(_SPARE, len(self._uses) // 8))
        left = self._n_free - count
        slots = self._free[left : self._n_free][::-1].copy()
        self._n_free = left
        self._uses[slots] = 1
        return slots

    def hold(self, slots: IntArray) -> None:
        """Count one more use of each of these slots."""
        np.add.at(self._uses, slots, 1)

    def release(self, slots: IntArray) -> None:
        """Count one use less of each of these slots, and free those without any."""
        np.subtract.at(self._uses, slots, 1)
        freed = np.sort(slots[self._uses[slots] == 0])
        freed = freed[np.diff(freed, prepend=-1) > 0]  # each once
        self._free[self._n_free : self._n_free + len(freed)] = freed
        self._n_free += len(freed)

    def write(self, slots: IntArray, cache: DynamicCache, rows: IntArray, positions: IntArray) -> None:
        """Copy keys and values from a cache into slots.

        Parameters
        ----------
        slots
            Where each position goes, [position].
        cache
            Where the keys and values are.
        rows, positions
            The row and the position in `cache` of each, [position].
        """
        if not len(slots):
            return
        layers: Any = cache.layers
        if not self._layers:
            self._create_layers(layers)
        device = None
        for layer, (keys, values) in zip(layers, self._layers, strict=True):
            if keys.device != device:  # layers of a model that is spread over devices are not all on one
                device = keys.device
                index, row, position = (torch.from_numpy(array).to(device) for array in (slots, rows, positions))
            keys.index_copy_(0, index, layer.keys.transpose(1, 2)[row, position])
            values.index_copy_(0, index, layer.values.transpose(1, 2)[row, position])

    def _create_layers(self, cache_layers: Any) -> None:
        for layer in cache_layers:
            # A cache holds [row, head, position, dimension], the pool [slot, head, dimension].
            keys, values = (
                tensor.new_empty(len(self._uses), tensor.shape[1], tensor.shape[3])
                for tensor in (layer.keys, layer.values)
            )
            self._layers.append((keys, values))
            self.position_bytes += sum(tensor.element_size() * tensor.shape[1:].numel() for tensor in (keys, values))

    def layer(self, index: int, keys: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the pool of one layer, [slot, head, dimension] of keys and of values, made when first asked for.

        Parameters
        ----------
        index
            The layer; layers are first asked for in their order.
        keys, values
            What the layer computes, [row, head, position, dimension]: their heads, dimension, dtype and device.
        """
        if index == len(self._layers):
            pair = [new.new_zeros(len(self._uses), new.shape[1], new.shape[3]) for new in (keys, values)]
            self._layers.append((pair[0], pair[1]))
            self.position_bytes += sum(held[0].numel() * held.element_size() for held in pair)
        return self._layers[index]

    def gather(self, slots: IntArray, room: int) -> DynamicCache:
        """Return a cache with copies of stored positions, and room for more.

        Parameters
        ----------
        slots
            [row, position]
        room
            How many more positions can be added to each row.
        """
        rows, past = slots.shape
        # Fill the room with copies of slot 0, to be overwritten: a single indexing then makes the whole buffer.
        with_room = np.concatenate([slots, np.zeros((rows, room), dtype=np.int64)], axis=1).ravel()
        index = torch.from_numpy(with_room)
        cache = DynamicCache()
        for pair in self._layers:
            index = index.to(pair[0].device)
            keys, values = (stored.index_select(0, index).view(rows, past + room, *stored.shape[1:]) for stored in pair)
            cache.layers.append(GatheredLayer(keys, values, past))
        return cache


def _grown(stored: torch.Tensor, capacity: int) -> torch.Tensor:
    larger = torch.empty(capacity, *stored.shape[1:], dtype=stored.dtype, device=stored.device)
    larger[: len(stored)] = stored
    return larger


def rewind(cache: DynamicCache, length: int) -> None:
    """Cut a gathered cache back to its first `length` positions; positions that are read next overwrite the rest."""
    layers: Any = cache.layers
    for layer in layers:
        layer.rewind(length)


def can_share_prefix(model: Any, ids: torch.Tensor) -> bool:
    """Return whether a model gives the same logits when it continues a prefix taken from a longer sequence's cache.

    Models that consist of attention do. Recurrent and hybrid models keep a state that cannot be cut back to a prefix.
    Transformers marks most of these; the others show when they are tried.

    Parameters
    ----------
    model
        A transformers decoder.
    ids
        What it is tried on, [1, position]: a few tokens, which go through a pool.
    """
    if getattr(model, "_is_stateful", False):
        return False
    length = ids.shape[1]
    kept = length - 5
    cache, pool, positions = new_cache(), KeyValuePool(), np.arange(kept, dtype=np.int64)
    with torch.no_grad():
        whole = model(ids, use_cache=False).logits.float()
        try:
            model(ids[:, : length - 2], past_key_values=cache, use_cache=True)
            slots = pool.allocate(kept)
            pool.write(slots, cache, np.zeros(kept, dtype=np.int64), positions)
            continued = model(ids[:, kept:], past_key_values=pool.gather(slots[None], 5), use_cache=True).logits.float()
        # A model that keeps something else in its cache fails with any of these.
        except (AttributeError, IndexError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError):
            return False
    # Compare with the spread of the logits: rounding in half precision is far below it, a wrong state is not.
    tolerance = 0.1 if rounding_bytes(model) == 2 else 1e-3
    error, spread = (continued - whole[:, kept:]).norm(), (whole - whole.mean(dim=-1, keepdim=True))[:, kept:].norm()
    return bool(error <= tolerance * spread)
