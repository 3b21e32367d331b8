"""The log-probabilities of whole chains, and how open each choice of a token was, many chains at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.scorer import SpanEntropies, SpanLogprobs
from tokimp.models.batching import batches_by_length, run_within_memory, split_list
from tokimp.models.decoder import Decoder
from tokimp.models.token_logprobs import GatherLogits, TokenQueries, gather_logprobs, gather_predictions


def read_spans(decoder: Decoder, chains: Sequence[TokenizedChain]) -> list[SpanLogprobs]:
    """Return the log-probabilities of every chain's reasoning and answer tokens, in the order of `chains`."""
    return [SpanLogprobs(*spans) for spans in _read(decoder, chains, gather_logprobs)]


def read_entropies(decoder: Decoder, chains: Sequence[TokenizedChain]) -> list[SpanEntropies]:
    """Return log-probabilities, entropies and ranks of every chain's tokens; see `Scorer.entropies`."""
    entropies = []
    for reasoning, answer in _read(decoder, chains, gather_predictions):
        ranks = [span[:, 2].astype(np.int64) for span in (reasoning, answer)]
        entropies.append(
            SpanEntropies(
                SpanLogprobs(reasoning[:, 0].copy(), answer[:, 0].copy()),
                reasoning[:, 1].copy(),
                answer[:, 1].copy(),
                *ranks,
            )
        )
    return entropies


def _read(
    decoder: Decoder, chains: Sequence[TokenizedChain], gather: GatherLogits
) -> list[tuple[FloatArray, FloatArray]]:
    """Return what is gathered at the reasoning's and at the answer's tokens, [token, ...] each, for every chain."""
    spans: dict[int, tuple[FloatArray, FloatArray]] = {}

    def run(batch: list[int]) -> None:
        spans.update(zip(batch, _read_batch(decoder, [chains[index] for index in batch], gather), strict=True))

    lengths = [len(chain) - 1 for chain in chains]
    batches = [
        [alike[index] for index in batch]
        # The rotary factors of a model may change at some length. Then no batch has chains of both sides.
        for side in (1, 0)
        if (alike := [index for index, chain in enumerate(chains) if decoder.rotary.side(len(chain)) == side])
        for batch in batches_by_length([lengths[index] for index in alike], decoder.budget.positions)
    ]
    with torch.no_grad():
        run_within_memory(
            batches,
            run,
            split=split_list,
            positions=lambda batch: len(batch) * max(lengths[index] for index in batch),
            budget=decoder.budget,
        )
    return [spans[index] for index in range(len(chains))]


def _read_batch(
    decoder: Decoder, chains: list[TokenizedChain], gather: GatherLogits
) -> list[tuple[FloatArray, FloatArray]]:
    # Padding lies right of every token that is scored, where a causal model cannot see it: no mask is needed.
    # A sequence's last token predicts nothing and is not read.
    width = max(len(chain) for chain in chains) - 1
    ids = [[*chain.input_ids[:-1], *([0] * (width + 1 - len(chain)))] for chain in chains]
    queries = TokenQueries()
    for row, chain in enumerate(chains):
        queries.add_run(row, len(chain.prompt_ids) - 1, chain.reasoning_ids + chain.answer_ids)
    values = decoder.query(decoder.tensor(ids), queries, gather=gather).cpu().numpy()
    ends = np.cumsum([len(span) for chain in chains for span in (chain.reasoning_ids, chain.answer_ids)])
    parts = np.split(values, ends[:-1])
    return list(zip(parts[::2], parts[1::2], strict=True))
