"""The states of a chain, layer by layer, shown as they are read so that they never exist for all layers at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch

from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.layer_states import LayerStates
from tokimp.errors import UnsupportedError
from tokimp.models.attention import chosen_layers
from tokimp.models.backend import Backend
from tokimp.models.batching import single_sequence
from tokimp.models.block import Block
from tokimp.models.decoder import Decoder
from tokimp.models.deletion.key_value_pool import new_cache
from tokimp.models.inside_passes import show_attention
from tokimp.models.trial import passes


def read_states(
    decoder: Decoder,
    chain: TokenizedChain,
    reduce: Callable[[LayerStates], torch.Tensor],
    layers: Sequence[int] | None,
) -> FloatArray:
    """Return what is made of each layer's states, [layer, ...]; parameters and errors as for `Scorer.states`."""
    chosen = chosen_layers(decoder, layers)
    by_layer: dict[int, FloatArray] = {}
    about = f"{decoder.model_id} ({decoder.facts.architecture})"

    def show(states: LayerStates) -> None:
        by_layer[states.layer] = reduce(states).float().cpu().numpy()

    cache = new_cache()
    with torch.no_grad(), single_sequence(len(chain)):
        try:
            with _watched(decoder.backend, chosen, cache, show) as visit:
                show_attention(decoder, decoder.tensor([chain.input_ids]), frozenset(chosen), visit, cache)
        except UnsupportedError as error:
            raise UnsupportedError(f"{about}: {error}; use an estimator that needs no states") from error
    return np.stack([by_layer[layer] for layer in chosen])


def gives_states(backend: Backend, ids: torch.Tensor) -> bool:
    """Return whether the states of a model add up, by trying its first and its last layer with attention.

    Parameters
    ----------
    backend
        The backend.
    ids
        What it is tried on, [1, position].
    """
    tried = {min(backend.attention_layers), max(backend.attention_layers)} if backend.attention_layers else set()
    seen: set[int] = set()

    def show(states: LayerStates) -> None:
        own = states.after_with_values(states.values)
        if bool((own - states.after).norm() <= 1e-2 * states.after.norm()):
            seen.add(states.layer)

    def add_up() -> bool:
        cache = new_cache()
        with torch.no_grad(), _watched(backend, sorted(tried), cache, show) as visit:
            backend.forward_attention(ids, frozenset(tried), visit, use_cache=True, past_key_values=cache)
        return bool(tried) and seen == tried

    return passes(add_up)


@contextmanager
def _watched(
    backend: Backend, layers: Sequence[int], cache: Any, show: Callable[[LayerStates], None]
) -> Iterator[Callable[[int, torch.Tensor], None]]:
    """Watch blocks; yield what is to be shown each layer's attention weights while they run."""
    blocks: dict[int, Block] = {}

    def visit(layer: int, pattern: torch.Tensor) -> None:
        blocks[layer].pattern = pattern[0].detach()

    with ExitStack() as hooks:
        for layer in dict.fromkeys(layers):
            blocks[layer] = Block(backend, layer, cache, show)
            hooks.callback(blocks[layer].remove)
        yield visit
