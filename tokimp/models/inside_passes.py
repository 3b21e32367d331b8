"""Passes of whole sequences through a decoder in which something inside is seen or changed."""

from __future__ import annotations

from collections.abc import Callable

import torch
from transformers.cache_utils import DynamicCache

from tokimp.models.decoder import Decoder


def logits_with_cuts(decoder: Decoder, input_ids: torch.Tensor, cut: torch.Tensor, last: int) -> torch.Tensor:
    """Return the logits of the last positions, with some attention cut.

    Parameters
    ----------
    decoder
        Runs the model.
    input_ids
        [row, position]
    cut
        True where a query may not attend to a key, [row, query, key].
    last
        How many positions are read.

    Returns
    -------
    torch.Tensor
        [row, last position, vocabulary]
    """
    rows, length = input_ids.shape
    decoder.work.add(rows, length, past=0, scored=last)
    with decoder.whole(input_ids, None):
        inputs = decoder.all_queries(None, last)
        return decoder.backend.forward_cut(decoder.counted(input_ids), cut, **inputs)[:, -last:]


def show_attention(
    decoder: Decoder,
    input_ids: torch.Tensor,
    layers: frozenset[int],
    visit: Callable[[int, torch.Tensor], None],
    cache: DynamicCache | None,
) -> None:
    """Read whole sequences and show the attention weights of some layers.

    Parameters
    ----------
    decoder
        Runs the model.
    input_ids
        [row, position]
    layers, visit
        As for `tokimp.models.backend.Backend.forward_attention`.
    cache
        Takes the keys and values of every layer; a layer's are there when it is visited.
    """
    inputs = decoder.all_queries(cache, 1)
    with decoder.rotary.sequences_of(input_ids.shape[1]):
        decoder.backend.forward_attention(decoder.counted(input_ids), layers, visit, **inputs)
