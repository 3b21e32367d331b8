"""The pool of keys and values: slots counted by their users, and caches gathered from them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers.cache_utils import DynamicCache

from tokimp.chains.arrays import IntArray
from tokimp.models.deletion.key_value_pool import KeyValuePool, can_share_prefix, new_cache, rewind
from tokimp.models.trial import trial_ids
from tokimp.testing.random_models import random_model

LAYERS, HEADS, DIMENSION = 2, 3, 4


def states(rows: int, positions: int, seed: int = 0) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return random keys and values for each layer, [row, head, position, dimension]."""
    generator = torch.Generator().manual_seed(seed)
    shape = (2, rows, HEADS, positions, DIMENSION)
    return [tuple(torch.randn(shape, generator=generator)) for _ in range(LAYERS)]


def cache_with(layers: list[tuple[torch.Tensor, torch.Tensor]]) -> DynamicCache:
    """Return transformers' own cache with these keys and values."""
    cache = new_cache()
    for index, (keys, values) in enumerate(layers):
        cache.update(keys, values, index)
    return cache


def contents(cache: DynamicCache) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return what a cache holds, [row, head, position, dimension] for each layer."""
    layers: Any = cache.layers
    return [(layer.keys, layer.values) for layer in layers]


def stored(pool: KeyValuePool, layers: list[tuple[torch.Tensor, torch.Tensor]], row: int = 0) -> IntArray:
    """Store a whole row of a cache; return its slots."""
    count = layers[0][0].shape[2]
    slots = pool.allocate(count)
    pool.write(slots, cache_with(layers), np.full(count, row), np.arange(count))
    return slots


@given(st.data())
def test_slots_keep_their_content_as_long_as_somebody_uses_them(data: st.DataObject) -> None:
    """Through any sequence of storing, sharing and releasing, every stored sequence reads as it was written."""
    pool, sequences = KeyValuePool(), dict[int, tuple[IntArray, torch.Tensor]]()
    for step in range(data.draw(st.integers(1, 12))):
        action = data.draw(st.sampled_from(["store", "share", "release"])) if sequences else "store"
        if action == "store":
            layers = states(1, data.draw(st.integers(1, 5)), seed=step)
            sequences[step] = stored(pool, layers), torch.stack([keys[0] for keys, _ in layers])
        else:
            name = data.draw(st.sampled_from(sorted(sequences)))
            slots, keys = sequences[name]
            if action == "share":
                length = data.draw(st.integers(1, len(slots)))
                pool.hold(slots[:length])
                sequences[step] = slots[:length], keys[:, :, :length]
            else:
                pool.release(slots)
                del sequences[name]
        in_use = {int(slot) for slots, _ in sequences.values() for slot in slots}
        assert pool.used == len(in_use)
        for slots, keys in sequences.values():
            gathered = contents(pool.gather(slots[None], 0))
            assert torch.equal(torch.stack([layer_keys[0] for layer_keys, _ in gathered]), keys)


def test_a_slot_that_nobody_uses_is_given_out_again() -> None:
    """The pool does not grow while free slots suffice."""
    pool = KeyValuePool()
    pool.reserve(4)
    slots = pool.allocate(4)
    pool.hold(slots[:2])
    pool.release(slots)
    assert pool.used == 2
    assert sorted(pool.allocate(2)) == sorted(slots[2:])


def test_rows_are_written_and_gathered_from_where_they_are() -> None:
    """Keys and values of chosen rows and positions, gathered into rows in another order, are those of the source."""
    pool, layers = KeyValuePool(), states(3, 5)
    slots = pool.allocate(4)
    pool.write(slots, cache_with(layers), np.array([2, 0, 1, 2]), np.array([4, 0, 3, 1]))
    for (keys, values), (all_keys, all_values) in zip(
        contents(pool.gather(slots[[[0, 1], [3, 2]]], 2)), layers, strict=True
    ):
        for part, whole in ((keys, all_keys), (values, all_values)):
            assert torch.equal(part[0], torch.stack([whole[2, :, 4], whole[0, :, 0]], dim=1))
            assert torch.equal(part[1], torch.stack([whole[2, :, 1], whole[1, :, 3]], dim=1))
    assert pool.position_bytes == LAYERS * 2 * HEADS * DIMENSION * 4


def test_a_gathered_cache_grows_and_rewinds_like_that_of_transformers() -> None:
    """Adding positions, cutting back and adding others gives the same keys and values as `DynamicCache`."""
    pool, past, one, other = KeyValuePool(), states(1, 3), states(1, 2, seed=1), states(1, 2, seed=2)
    cache = pool.gather(stored(pool, past)[None], 2)
    for index, (keys, values) in enumerate(one):
        cache.update(keys, values, index)
    assert cache.get_seq_length() == 5
    rewind(cache, 3)
    assert cache.get_seq_length() == 3
    expected = cache_with(past)
    for index, (keys, values) in enumerate(other):
        returned = cache.update(keys, values, index)
        wanted = expected.update(keys, values, index)
        assert all(torch.equal(*pair) for pair in zip(returned, wanted, strict=True))


def test_gathered_rows_are_copies() -> None:
    """What is read after a prefix does not change what is stored of it, nor another cache of the same slots."""
    pool, past = KeyValuePool(), states(1, 3)
    slots = stored(pool, past)
    cache = pool.gather(slots[None], 1)
    layers: Any = cache.layers
    layers[0].keys.zero_()
    assert torch.equal(contents(pool.gather(slots[None], 0))[0][0], past[0][0])


HYBRID = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "layer_types": ["conv", "full_attention"],
}


@pytest.mark.parametrize(
    ("architecture", "sizes", "shares"),
    [
        ("llama", {}, True),
        ("gemma3_text", {}, True),
        ("mamba", {"hidden_size": 32, "num_hidden_layers": 2}, False),
        ("lfm2", HYBRID, False),
    ],
)
def test_only_models_of_attention_share_prefixes(architecture: str, sizes: dict[str, Any], shares: bool) -> None:
    """Attention, with a sliding window too, continues from a cut-off prefix; recurrent and hybrid models do not."""
    model = random_model(architecture, **sizes)
    assert can_share_prefix(model, trial_ids(model)) == shares
