"""The attention of a chain, layer by layer, reduced as it is read so that the whole never has to exist."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.scorer import AttentionWeights
from tokimp.errors import ScorerError, UnsupportedError
from tokimp.models.batching import single_sequence
from tokimp.models.decoder import Decoder
from tokimp.models.deletion.key_value_pool import new_cache
from tokimp.models.value_norms import value_norms


def read_attention(
    decoder: Decoder,
    chain: TokenizedChain,
    *,
    weights: AttentionWeights,
    layers: Sequence[int] | None,
    reduce: Callable[[torch.Tensor], torch.Tensor] | None,
) -> FloatArray:
    """Return attention over the whole sequence; parameters and errors as for `CausalLMScorer.attention`."""
    chosen = _chosen_layers(decoder, layers)
    if weights not in ("pattern", "value_norm"):
        raise ScorerError(f"attention weights are 'pattern' or 'value_norm', not {weights!r}")
    if weights == "value_norm" and not decoder.facts.shares_prefix:
        raise UnsupportedError(
            f"{decoder.model_id} ({decoder.facts.architecture}) does not keep plain values for every layer, which "
            "'value_norm' reads; use weights='pattern'"
        )
    cache = new_cache() if weights == "value_norm" else None
    by_layer: dict[int, FloatArray] = {}

    def visit(layer: int, pattern: torch.Tensor) -> None:
        heads = pattern[0].float()
        if cache is not None:
            kept: Any = cache.layers[layer]
            projection = decoder.backend.output_projection(layer)
            heads = heads * value_norms(kept.values[0], heads.shape[0], projection)[:, None]
        by_layer[layer] = (heads if reduce is None else reduce(heads)).float().cpu().numpy()

    with torch.no_grad(), single_sequence(len(chain)):
        decoder.show_attention(decoder.tensor([chain.input_ids]), frozenset(chosen), visit, cache)
    return np.stack([by_layer[layer] for layer in chosen])


def _chosen_layers(decoder: Decoder, layers: Sequence[int] | None) -> list[int]:
    """Return the layers asked for, counted from the first; raise if one is not there or has no attention."""
    count, shown = decoder.facts.layers, decoder.backend.attention_layers
    chosen = list(range(count)) if layers is None else list(layers)
    outside = [layer for layer in chosen if not -count <= layer < count]
    if outside or not chosen:
        wrong = ", ".join(map(str, outside)) or "none"
        raise ScorerError(f"{decoder.model_id} has layers 0 to {count - 1} (or -{count} to -1); asked for: {wrong}")
    chosen = [layer % count for layer in chosen]
    missing = sorted(set(chosen) - shown)
    if missing:
        others = f"ask for layers={sorted(shown)}, or " if shown else ""
        raise UnsupportedError(
            f"{decoder.model_id} ({decoder.facts.architecture}) has no attention weights in layers {missing}; "
            f"{others}use an estimator that needs no attention"
        )
    return chosen
