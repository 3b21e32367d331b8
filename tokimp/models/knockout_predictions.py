"""What a model predicts of every token while some attention is cut: log-probabilities, and how far they move."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.scorer_inside import CutQueries
from tokimp.errors import ScorerError
from tokimp.models.batching import run_within_memory, split_list
from tokimp.models.decoder import Decoder
from tokimp.models.inside_passes import logits_with_cuts
from tokimp.models.knockout import check_hidden, pairs_to_cut
from tokimp.models.token_logprobs import slice_rows, token_logprobs


def knockout_logprobs(
    decoder: Decoder, chain: TokenizedChain, hidden: Sequence[Sequence[int]], queries: CutQueries
) -> FloatArray:
    """Return log-probabilities, [knockout, reasoning + answer token]; see `Scorer.knockout_logprobs`."""
    scored = len(chain.reasoning_ids) + len(chain.answer_ids)
    tokens = decoder.tensor([chain.input_ids[-scored:]])

    def read(logits: torch.Tensor) -> torch.Tensor:
        return token_logprobs(logits, tokens.expand(len(logits), -1)[..., None])[..., 0]

    return _read(decoder, chain, hidden, queries, read, beside=0)


def knockout_divergences(
    decoder: Decoder, chain: TokenizedChain, hidden: Sequence[Sequence[int]], queries: CutQueries, temperature: float
) -> FloatArray:
    """Return divergences, [knockout, reasoning + answer token]; see `Scorer.knockout_divergences`."""
    if not temperature > 0:
        raise ScorerError(f"a temperature is above 0, not {temperature}")

    def read(logits: torch.Tensor) -> torch.Tensor:
        return divergences(logits[:1], logits[1:], temperature)

    # Every batch has a row in which nothing is hidden, so that no distribution has to be kept.
    return _read(decoder, chain, hidden, queries, read, beside=1)


def divergences(unchanged: torch.Tensor, changed: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return KL(unchanged || changed) over the vocabulary at each position, nats, float32, [row, position].

    Parameters
    ----------
    unchanged, changed
        Logits, [1, position, vocabulary] and [row, position, vocabulary], in any precision.
    temperature
        Divides both.
    """
    at_once = max(1, slice_rows(changed) // max(1, len(changed)))
    parts = []
    for before, after in zip(*(torch.split(logits, at_once, dim=1) for logits in (unchanged, changed)), strict=True):
        logs, moved = ((part.float() / temperature).log_softmax(dim=-1) for part in (before, after))
        # A token that was impossible adds nothing; its logarithm may be -inf in both.
        terms = torch.where(logs > -torch.inf, logs.exp() * (logs - moved), 0.0)
        parts.append(terms.sum(dim=-1).clamp(min=0))
    return torch.cat(parts, dim=1)


def _read(
    decoder: Decoder,
    chain: TokenizedChain,
    hidden: Sequence[Sequence[int]],
    queries: CutQueries,
    read: Callable[[torch.Tensor], torch.Tensor],
    *,
    beside: int,
) -> FloatArray:
    """Return what is read of the logits under each knockout, with some rows beside in which nothing is hidden."""
    check_hidden(chain, hidden)
    if queries not in ("later", "all"):
        raise ScorerError(f"queries are 'later' or 'all', not {queries!r}")
    # The last token predicts nothing and is not read.
    n_prompt, length = len(chain.prompt_ids), len(chain) - 1
    scored = len(chain.reasoning_ids) + len(chain.answer_ids)
    values = np.empty((len(hidden), scored), dtype=np.float32)

    def run(knockouts: list[int]) -> None:
        positions = [[n_prompt + position for position in hidden[knockout]] for knockout in knockouts]
        cut = pairs_to_cut(length, [*([] for _ in range(beside)), *positions], queries)
        input_ids = decoder.tensor([chain.input_ids[:-1]] * len(cut))
        values[knockouts] = read(logits_with_cuts(decoder, input_ids, cut.to(input_ids.device), scored)).cpu().numpy()

    max_rows = max(1, min(decoder.budget.positions, decoder.most_scored_positions) // length - beside)
    with torch.no_grad():
        run_within_memory(
            [list(range(len(hidden)))[first : first + max_rows] for first in range(0, len(hidden), max_rows)],
            run,
            split=split_list,
            positions=lambda knockouts: (len(knockouts) + beside) * length,
            budget=decoder.budget,
        )
    return values
