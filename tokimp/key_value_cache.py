"""Keys and values of a prefix, to be shared by everything that continues it.

All layers are plain `DynamicLayer` (all positions kept, no window): a sliding-window layer then masks what lies
outside its window, as it does without a cache, so any prefix can be cut off and continued exactly.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers.cache_utils import DynamicCache, DynamicLayer


def new_cache() -> DynamicCache:
    """Return an empty cache whose every layer keeps all positions."""
    return DynamicCache()


def prefix_for_rows(cache: DynamicCache, length: int, rows: int) -> DynamicCache:
    """Return the first `length` positions of a cache of one sequence, or of `rows`, for `rows` that continue it.

    The new cache shares memory with `cache` until it is extended; `cache` itself never changes.
    """
    shared = DynamicCache()
    if length == 0:
        return shared
    layers: Any = cache.layers
    for layer in layers:
        copy: Any = DynamicLayer()  # type: ignore[no-untyped-call] # transformers leaves its __init__ untyped
        keys = layer.keys[:, :, :length].expand(rows, -1, -1, -1)
        copy.lazy_initialization(keys, keys)
        copy.keys, copy.values = keys, layer.values[:, :, :length].expand(rows, -1, -1, -1)
        shared.layers.append(copy)
    return shared


def can_share_prefix(model: Any, device: str) -> bool:
    """Tell whether a model gives the same logits when it continues a prefix cut out of a longer one's cache.

    Models with attention alone do. Recurrent and hybrid ones keep a state that cannot be cut back; transformers marks
    most of them, and for the rest (and for models from elsewhere) it is tried on nine tokens.
    """
    if getattr(model, "_is_stateful", False):
        return False
    size = model.get_input_embeddings().weight.shape[0]
    ids = torch.arange(3, 12, device=device).remainder(size)[None]
    cache = new_cache()
    with torch.no_grad():
        whole = model(ids, use_cache=False).logits.float()
        try:
            model(ids[:, :7], past_key_values=cache, use_cache=True)
            continued = model(ids[:, 4:], past_key_values=prefix_for_rows(cache, 4, 1), use_cache=True).logits.float()
        # A model that keeps something else in its cache fails in ways of its own.
        except (AttributeError, IndexError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError):
            return False
    # The spread of the logits is the measure, so that rounding in half precision passes and a wrong state does not.
    tolerance = 0.1 if model.dtype.itemsize == 2 else 1e-3
    error, spread = (continued - whole[:, 4:]).norm(), (whole - whole.mean(dim=-1, keepdim=True))[:, 4:].norm()
    return bool(error <= tolerance * spread)
