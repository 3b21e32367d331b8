"""Gather the log-probabilities of chosen tokens from logits, without a second tensor of the logits' size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch

# Numbers in a slice of logits, by kind of device ("" for any other). On a CPU, a slice that fits in a core's cache
# takes a quarter of the time of one that does not. On a GPU, every slice costs kernel launches, so slices are larger.
_FLOATS_AT_ONCE = {"cpu": 2**18, "": 2**26}


@dataclass(slots=True)
class TokenQueries:
    """Tokens whose log-probabilities are asked for.

    Attributes
    ----------
    rows, positions, tokens
        One entry for each query: the row of the batch, the position that predicts, and the id that is predicted.
    """

    rows: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)

    def add(self, row: int, position: int, token: int) -> int:
        """Ask for one token; return the query's index."""
        self.rows.append(row)
        self.positions.append(position)
        self.tokens.append(token)
        return len(self.tokens) - 1

    def add_run(self, row: int, position: int, tokens: Sequence[int]) -> None:
        """Ask for several tokens that follow one another, the first predicted at `position`."""
        for shift, token in enumerate(tokens):
            self.add(row, position + shift, token)

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def first_position(self) -> int:
        """The first position whose prediction is read."""
        return min(self.positions)

    def between(self, begin: int, end: int) -> tuple[torch.Tensor, TokenQueries]:
        """Return the indices of the queries at positions from `begin` to `end` (exclusive), and those queries."""
        chosen = [index for index, position in enumerate(self.positions) if begin <= position < end]
        part = TokenQueries(
            [self.rows[i] for i in chosen], [self.positions[i] for i in chosen], [self.tokens[i] for i in chosen]
        )
        return torch.tensor(chosen, dtype=torch.long), part


class GatherLogits(Protocol):
    """Reads something of the logits at some queries, as `gather_logprobs` reads log-probabilities."""

    def __call__(self, logits: torch.Tensor, queries: TokenQueries, *, first: int = 0) -> torch.Tensor:
        """Return it, [query, ...]; `first` is the position that ``logits[:, 0]`` belongs to."""
        ...


def gather_logprobs(logits: torch.Tensor, queries: TokenQueries, *, first: int = 0) -> torch.Tensor:
    """Return log softmax of logits, in float32, at the queries.

    Parameters
    ----------
    logits
        [row, position, vocabulary], in any precision.
    queries
        The queries.
    first
        The position that ``logits[:, 0]`` belongs to.

    Returns
    -------
    torch.Tensor
        Nats, float32 (float64 of float64 logits), [query]; differentiable.
    """
    return torch.cat([_log_softmax_at(part, token)[:, 0] for part, token in _queried(logits, queries, first)])


def gather_predictions(logits: torch.Tensor, queries: TokenQueries, *, first: int = 0) -> torch.Tensor:
    """Return log-probability, entropy and rank at the queries, [query, 3], float32.

    Parameters are those of `gather_logprobs`, whose numbers stand in the first column. The second has the entropy of
    the whole distribution, in nats. The third has the number of tokens that are more likely than the query's.
    """
    columns = []
    for part, token in _queried(logits, queries, first):
        # ``entr`` is 0 at 0, where p log p would be NaN.
        entropy = torch.special.entr(part.softmax(dim=-1)).sum(dim=-1)
        rank = (part > part.gather(-1, token)).sum(dim=-1)
        columns.append(torch.stack([_log_softmax_at(part, token)[:, 0], entropy, rank.to(part.dtype)], dim=-1))
    return torch.cat(columns)


def _queried(logits: torch.Tensor, queries: TokenQueries, first: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield the logits that queries read, [query, vocabulary], and their tokens, [query, 1], in slices."""
    device = logits.device
    rows = torch.tensor(queries.rows, dtype=torch.long, device=device)
    positions = torch.tensor(queries.positions, dtype=torch.long, device=device) - first
    tokens = torch.tensor(queries.tokens, dtype=torch.long, device=device)[:, None]
    pieces = zip(*(torch.split(column, slice_rows(logits)) for column in (rows, positions, tokens)), strict=True)
    for row, at, token in pieces:
        yield _float(logits[row, at]), token


def token_logprobs(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Return log softmax of logits, in float32, at several tokens of every position.

    Parameters
    ----------
    logits
        [row, position, vocabulary], in any precision.
    tokens
        Ids, [row, position, choice].

    Returns
    -------
    torch.Tensor
        Nats, float32 (float64 of float64 logits), [row, position, choice]; differentiable.
    """
    count = slice_rows(logits)
    pieces = zip(torch.split(logits.flatten(0, 1), count), torch.split(tokens.flatten(0, 1), count), strict=True)
    return torch.cat([_log_softmax_at(_float(part), chosen) for part, chosen in pieces]).view(tokens.shape)


def slice_rows(logits: torch.Tensor) -> int:
    """Return how many rows of logits, [..., vocabulary], are worked on at once."""
    return max(1, _FLOATS_AT_ONCE.get(logits.device.type, _FLOATS_AT_ONCE[""]) // logits.shape[-1])


def _log_softmax_at(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Return log softmax of [row, vocabulary] at [row, token], precise also for a token that is almost certain.

    With logits l, log p = (l - highest) - log(sum of exp(l' - highest) over the vocabulary). If one of the tokens is
    the most likely one, its own term of the sum is exactly 1. Adding it would round away the rest of the sum, which
    tells a probability of 1 - 1e-7 from one of 1 - 1e-8, and sure answers would tie. So the term is left out, and the
    logarithm is computed as log1p(rest). A token that is not the most likely one needs no such care, because its
    probability is at most one half.
    """
    highest = logits.amax(dim=-1, keepdim=True)
    chosen = logits.gather(-1, tokens) - highest
    at_highest, column = (chosen == 0).max(dim=-1, keepdim=True)  # one column, where several are equally likely
    own = chosen.gather(-1, column).masked_fill(at_highest, -torch.inf)
    rest = (logits - highest).scatter_(-1, tokens.gather(-1, column), own).exp_().sum(dim=-1, keepdim=True)
    return chosen - (rest - (~at_highest).to(rest.dtype)).log1p()


def _float(tensor: torch.Tensor) -> torch.Tensor:
    return tensor if tensor.dtype == torch.float64 else tensor.float()
