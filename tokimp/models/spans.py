"""The log-probabilities of whole chains, many at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.scorer import SpanLogprobs
from tokimp.models.batching import batches_by_length, run_within_memory, split_list
from tokimp.models.decoder import Decoder
from tokimp.models.token_logprobs import TokenQueries


def read_spans(decoder: Decoder, chains: Sequence[TokenizedChain]) -> list[SpanLogprobs]:
    """Return the log-probabilities of every chain's reasoning and answer tokens, in the order of `chains`."""
    spans: dict[int, SpanLogprobs] = {}

    def run(batch: list[int]) -> None:
        spans.update(zip(batch, _read_batch(decoder, [chains[index] for index in batch]), strict=True))

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


def _read_batch(decoder: Decoder, chains: list[TokenizedChain]) -> list[SpanLogprobs]:
    # Padding lies right of every token that is scored, where a causal model cannot see it: no mask is needed.
    # A sequence's last token predicts nothing and is not read.
    width = max(len(chain) for chain in chains) - 1
    ids = [[*chain.input_ids[:-1], *([0] * (width + 1 - len(chain)))] for chain in chains]
    queries = TokenQueries()
    for row, chain in enumerate(chains):
        queries.add_run(row, len(chain.prompt_ids) - 1, chain.reasoning_ids + chain.answer_ids)
    values = decoder.query(decoder.tensor(ids), queries).cpu().numpy()
    ends = np.cumsum([len(span) for chain in chains for span in (chain.reasoning_ids, chain.answer_ids)])
    spans = np.split(values, ends[:-1])
    return [SpanLogprobs(*pair) for pair in zip(spans[::2], spans[1::2], strict=True)]
