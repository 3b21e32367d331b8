"""Log-probabilities of chosen tokens, gathered from logits without a second tensor of their size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

_FLOATS_AT_ONCE = 2**24


@dataclass(slots=True)
class TokenQueries:
    """Which tokens' log-probabilities are asked for.

    Attributes
    ----------
    rows, positions, tokens
        One entry a query: the row of the batch, the position whose prediction is read, the id that is predicted.
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
        """Ask for several tokens in a row, the first predicted at `position`."""
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


def gather_logprobs(logits: torch.Tensor, queries: TokenQueries, *, first: int = 0) -> torch.Tensor:
    """Return log softmax of logits, in float32, at the queries.

    Parameters
    ----------
    logits
        [row, position, vocabulary], in any precision.
    queries
        What is asked for.
    first
        The position that ``logits[:, 0]`` belongs to.

    Returns
    -------
    torch.Tensor
        Nats, float32 (float64 of float64 logits), [query]; differentiable.
    """
    device = logits.device
    rows = torch.tensor(queries.rows, dtype=torch.long, device=device)
    positions = torch.tensor(queries.positions, dtype=torch.long, device=device) - first
    tokens = torch.tensor(queries.tokens, dtype=torch.long, device=device)
    count = max(1, _FLOATS_AT_ONCE // logits.shape[-1])
    pieces = zip(*(torch.split(column, count) for column in (rows, positions, tokens)), strict=True)
    return torch.cat([_log_softmax_at(_float(logits[row, position]), token) for row, position, token in pieces])


def _log_softmax_at(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Return log softmax at one token a row, [row], precise also where a token is all but certain.

    log p = -log(1 + sum over the others of exp(l - l_token)). The plain difference l_token - logsumexp(l) loses in the
    last bits of two large numbers what tells a probability of 1 - 1e-7 from 1 - 1e-8, and makes sure answers tie.
    """
    chosen = tokens[:, None]
    others = (logits - logits.gather(-1, chosen)).scatter(-1, chosen, -torch.inf)
    return -torch.nn.functional.softplus(others.logsumexp(dim=-1))


def _float(tensor: torch.Tensor) -> torch.Tensor:
    return tensor if tensor.dtype == torch.float64 else tensor.float()
