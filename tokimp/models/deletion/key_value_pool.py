"""Keys and values of what was read, in a pool of slots: a sequence is a list of slots, so sharing costs no copy.

All layers are plain `DynamicLayer` (all positions kept, no window): a sliding-window layer then masks what lies
outside its window, as it does without a cache, so any prefix can be cut off and continued exactly. Keys are held as
they enter attention, turned to their positions, so a slot serves at one position only, whatever the sequence.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from transformers.cache_utils import DynamicCache, DynamicLayer

from tokimp.chains.arrays import IntArray

_SPARE = 256  # slots added beyond what is needed when a pool grows, which copies it


def new_cache() -> DynamicCache:
    """Return an empty cache whose every layer keeps all positions."""
    return DynamicCache()


class GatheredLayer(DynamicLayer):
    """A cache layer whose past was gathered into the front of a buffer with room for what is read next.

    What is read is written into that room; `DynamicLayer` would copy the past again at every call.
    """

    def __init__(self, keys: torch.Tensor, values: torch.Tensor, past: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # transformers leaves it untyped
        self.lazy_initialization(keys, values)
        self._keys, self._values = keys, values  # [row, position, head, dimension]
        self.rewind(past)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append keys and values, [row, head, position, dimension]; return all there are, in the same layout."""
        begin = self.get_seq_length()
        end = begin + key_states.shape[-2]
        self._keys[:, begin:end] = key_states.transpose(1, 2)
        self._values[:, begin:end] = value_states.transpose(1, 2)
        return self.rewind(end)

    def rewind(self, length: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Keep the first `length` positions; return their keys and values."""
        keys, values = (each[:, :length].transpose(1, 2) for each in (self._keys, self._values))
        self.keys, self.values = keys, values
        return keys, values


class KeyValuePool:
    """Slots for the keys and values of one position in every layer, each slot used by any number of sequences."""

    def __init__(self) -> None:
        self._layers: list[tuple[torch.Tensor, torch.Tensor]] = []  # [slot, head, dimension] each
        self._uses = np.zeros(0, dtype=np.int64)
        self._free: list[int] = []
        self.position_bytes = 0

    @property
    def used(self) -> int:
        """Slots in use."""
        return len(self._uses) - len(self._free)

    def reserve(self, capacity: int) -> None:
        """Make room for so many slots in all; what is held stays where it is."""
        before = len(self._uses)
        if capacity <= before:
            return
        for index, pair in enumerate(self._layers):
            grown = [torch.empty(capacity, *old.shape[1:], dtype=old.dtype, device=old.device) for old in pair]
            for new, old in zip(grown, pair, strict=True):
                new[:before] = old
            self._layers[index] = (grown[0], grown[1])
        self._uses = np.concatenate([self._uses, np.zeros(capacity - before, dtype=np.int64)])
        self._free.extend(range(capacity - 1, before - 1, -1))

    def allocate(self, count: int) -> IntArray:
        """Return slots that nobody uses, with one use each; the pool grows if it has to."""
        if count > len(self._free):
            self.reserve(self.used + count + _SPARE)
        slots = np.array([self._free.pop() for _ in range(count)], dtype=np.int64)
        self._uses[slots] = 1
        return slots

    def hold(self, slots: IntArray) -> None:
        """Count one more use of each of these slots."""
        self._uses[slots] += 1

    def release(self, slots: IntArray) -> None:
        """Count one use less; slots without any are free."""
        self._uses[slots] -= 1
        self._free.extend(slots[self._uses[slots] == 0].tolist())

    def write(self, slots: IntArray, cache: DynamicCache, rows: IntArray, positions: IntArray) -> None:
        """Copy the keys and values at some rows and positions of a cache into slots, one for one."""
        if not len(slots):
            return
        layers: Any = cache.layers
        device = layers[0].keys.device
        index, row, position = (torch.from_numpy(each).to(device) for each in (slots, rows, positions))
        if not self._layers:
            self._create(layers)
        for layer, (keys, values) in zip(layers, self._layers, strict=True):
            keys.index_copy_(0, index, layer.keys.transpose(1, 2)[row, position])
            values.index_copy_(0, index, layer.values.transpose(1, 2)[row, position])

    def _create(self, layers: Any) -> None:
        for layer in layers:
            pair = [each[0].transpose(0, 1)[:0] for each in (layer.keys, layer.values)]
            empty = [each.new_empty(len(self._uses), *each.shape[1:]) for each in pair]
            self._layers.append((empty[0], empty[1]))
            self.position_bytes += sum(each.element_size() * each.shape[1:].numel() for each in pair)

    def gather(self, slots: IntArray, room: int) -> DynamicCache:
        """Return a cache of rows made of slots, [row, position], with room for so many more positions."""
        rows, past = slots.shape
        # The room is filled with copies of slot 0, which are overwritten: one pass makes the whole buffer.
        whole = np.concatenate([slots, np.zeros((rows, room), dtype=np.int64)], axis=1).ravel()
        index = torch.from_numpy(whole).to(self._layers[0][0].device)
        cache = DynamicCache()
        for pair in self._layers:
            keys, values = (each.index_select(0, index).view(rows, past + room, *each.shape[1:]) for each in pair)
            cache.layers.append(GatheredLayer(keys, values, past))
        return cache


def rewind(cache: DynamicCache, length: int) -> None:
    """Cut a gathered cache back to its first `length` positions; what is read next overwrites the rest."""
    layers: Any = cache.layers
    for layer in layers:
        layer.rewind(length)


def can_share_prefix(model: Any, device: str) -> bool:
    """Tell whether a model gives the same logits when it continues a prefix cut out of a longer one's cache.

    Models with attention alone do. Recurrent and hybrid ones keep a state that cannot be cut back; transformers marks
    most of them, and for the rest (and for models from elsewhere) it is tried on nine tokens, through a pool.
    """
    if getattr(model, "_is_stateful", False):
        return False
    size = model.get_input_embeddings().weight.shape[0]
    ids = torch.arange(3, 12, device=device).remainder(size)[None]
    cache, pool, first = new_cache(), KeyValuePool(), np.arange(4, dtype=np.int64)
    with torch.no_grad():
        whole = model(ids, use_cache=False).logits.float()
        try:
            model(ids[:, :7], past_key_values=cache, use_cache=True)
            slots = pool.allocate(4)
            pool.write(slots, cache, np.zeros(4, dtype=np.int64), first)
            continued = model(ids[:, 4:], past_key_values=pool.gather(slots[None], 5), use_cache=True).logits.float()
        # A model that keeps something else in its cache fails in ways of its own.
        except (AttributeError, IndexError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError):
            return False
    # The spread of the logits is the measure, so that rounding in half precision passes and a wrong state does not.
    tolerance = 0.1 if model.dtype.itemsize == 2 else 1e-3
    error, spread = (continued - whole[:, 4:]).norm(), (whole - whole.mean(dim=-1, keepdim=True))[:, 4:].norm()
    return bool(error <= tolerance * spread)
