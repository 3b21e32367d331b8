"""The attention of a chain, layer by layer, reduced as it is read so that the whole never has to exist."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch

from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.scorer_inside import AttentionWeights
from tokimp.errors import ScorerError, UnsupportedError
from tokimp.models.attention_rows import SeenPositions, fault_in_rows, has_sink
from tokimp.models.backend import Backend
from tokimp.models.batching import single_sequence
from tokimp.models.decoder import Decoder
from tokimp.models.deletion.key_value_pool import new_cache
from tokimp.models.inside_passes import show_attention
from tokimp.models.trial import passes
from tokimp.models.value_norms import MovedValues


def read_attention(
    decoder: Decoder,
    chain: TokenizedChain,
    *,
    weights: AttentionWeights,
    layers: Sequence[int] | None,
    reduce: Callable[[torch.Tensor], torch.Tensor] | None,
    hidden: float,
) -> FloatArray:
    """Return attention over the whole sequence; parameters and errors as for `CausalLMScorer.attention`."""
    chosen = chosen_layers(decoder, layers)
    if weights not in ("pattern", "value_norm"):
        raise ScorerError(f"attention weights are 'pattern' or 'value_norm', not {weights!r}")
    reading = _Reading(decoder, len(chain), with_norms=weights == "value_norm", hidden=hidden)
    by_layer: dict[int, FloatArray] = {}

    def visit(layer: int, pattern: torch.Tensor) -> None:
        heads = reading.heads(layer, pattern[0])
        by_layer[layer] = (heads if reduce is None else reduce(heads)).float().cpu().numpy()

    with torch.no_grad(), single_sequence(len(chain)), reading.watching(chosen):
        show_attention(decoder, decoder.tensor([chain.input_ids]), frozenset(chosen), visit, reading.cache)
    reading.check_values()
    return np.stack([by_layer[layer] for layer in chosen])


class _Reading:
    """One pass over a chain: checks the weights of each layer, and makes of them what was asked for."""

    def __init__(self, decoder: Decoder, length: int, *, with_norms: bool, hidden: float) -> None:
        self._backend, self._length, self._hidden = decoder.backend, length, hidden
        self._about = f"{decoder.model_id} ({decoder.facts.architecture})"
        if with_norms and not decoder.facts.shares_prefix:
            raise UnsupportedError(
                f"{self._about} does not keep plain values for every layer, which 'value_norm' reads; use "
                "weights='pattern'"
            )
        self.cache = new_cache() if with_norms else None
        self._moved: dict[int, MovedValues] = {}
        self._seen: dict[int, SeenPositions] = {}

    @contextmanager
    def watching(self, layers: Iterable[int]) -> Iterator[None]:
        """Watch what goes into some layers, as far as that is needed."""
        with ExitStack() as hooks:
            for layer in set(layers):
                if self.cache is not None:
                    self._moved[layer] = MovedValues(self._backend.output_projection(layer))
                    hooks.callback(self._moved[layer].remove)
                if self._hidden != 0:
                    self._seen[layer] = SeenPositions(self._backend.attention_module(layer), self._length)
                    hooks.callback(self._seen[layer].remove)
            yield

    def heads(self, layer: int, weights: torch.Tensor) -> torch.Tensor:
        """Return the weights of a layer, [head, query, key], times the norms of values, with hidden pairs marked."""
        if fault := fault_in_rows(weights, self._length, sink=has_sink(self._backend.attention_module(layer))):
            raise UnsupportedError(
                f"{self._about}: what layer {layer} shows as attention weights are none ({fault}); "
                f"{self._backend.otherwise}use an estimator that needs no attention"
            )
        heads = weights.float()
        if self.cache is not None:
            cached: Any = self.cache.layers
            # A layer that shares the values of another has none of its own.
            norms = self._moved[layer].norms(cached[layer].values[0], heads) if layer < len(cached) else None
            if norms is None:
                raise self._no_plain_values(layer)
            heads = heads * norms[:, None]
        if layer in self._seen:
            heads = heads.masked_fill(~self._seen[layer].pairs.to(heads.device), self._hidden)
        return heads

    def check_values(self) -> None:
        """Raise `UnsupportedError` if some layer moved something else than the values whose norms were taken."""
        for layer, moved in sorted(self._moved.items()):
            if not moved.confirmed():
                raise self._no_plain_values(layer)

    def _no_plain_values(self, layer: int) -> UnsupportedError:
        return UnsupportedError(
            f"{self._about}: what layer {layer} moves is not the weighted sum of the values in its cache (multi-head "
            "latent attention, gates, or values shared between layers), so 'value_norm' cannot be computed; use "
            "weights='pattern'"
        )


def layers_with_attention(backend: Backend, ids: torch.Tensor) -> frozenset[int]:
    """Return the layers for which a backend shows attention weights that are distributions, by trying it.

    Parameters
    ----------
    backend
        The backend.
    ids
        What it is tried on, [1, position].
    """
    right: set[int] = set()

    def visit(layer: int, pattern: torch.Tensor) -> None:
        heads = pattern[0] if isinstance(pattern, torch.Tensor) else pattern
        if not fault_in_rows(heads, ids.shape[1], sink=has_sink(backend.attention_module(layer))):
            right.add(layer)

    def runs() -> bool:
        with torch.no_grad():
            backend.forward_attention(ids, backend.attention_layers, visit, use_cache=False)
        return True

    return frozenset(right) if passes(runs) else frozenset()


def chosen_layers(decoder: Decoder, layers: Sequence[int] | None) -> list[int]:
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
        others = f"ask for layers={sorted(shown)}, or " if shown else decoder.backend.otherwise
        raise UnsupportedError(
            f"{decoder.model_id} ({decoder.facts.architecture}) has no attention weights in layers {missing}; "
            f"{others}use an estimator that needs no attention"
        )
    return chosen
