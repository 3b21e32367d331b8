"""Deletions grouped into batches that pass few token positions through the model in few calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tokimp.chains.chain import TokenizedChain
from tokimp.errors import ScorerError


@dataclass(frozen=True, slots=True)
class DeletionBatch:
    """Deletions that are scored together: rows of one length, no masks and no padding.

    Attributes
    ----------
    start
        Where the rows start, an index into their reasoning: what precedes it was read before. -1 is the last token
        of the prompt.
    width
        Token positions of a row.
    candidates
        Indices of the deletions, by where they would have to start alone.
    """

    start: int
    width: int
    candidates: tuple[int, ...]

    @property
    def positions(self) -> int:
        """Token positions of the whole batch."""
        return self.width * len(self.candidates)

    def halves(self) -> tuple[DeletionBatch, DeletionBatch] | None:
        """Return the two halves, with rows as they are; ``None`` of a single row."""
        middle = len(self.candidates) // 2
        if not middle:
            return None
        left, right = self.candidates[:middle], self.candidates[middle:]
        return DeletionBatch(self.start, self.width, left), DeletionBatch(self.start, self.width, right)


def check_deletions(chain: TokenizedChain, kept: Sequence[int], candidates: Sequence[Sequence[int]]) -> None:
    """Raise `ScorerError` unless `kept` is an ascending part of the reasoning and every candidate a part of `kept`."""
    where, length = chain.chain.where, len(chain.reasoning_ids)
    if any(a >= b for a, b in pairwise(kept)) or (kept and not 0 <= kept[0] <= kept[-1] < length):
        raise ScorerError(f"{where}: kept positions must ascend and lie between 0 and {length - 1}")
    there = set(kept)
    for index, candidate in enumerate(candidates):
        if len(set(candidate)) < len(candidate) or not there.issuperset(candidate):
            raise ScorerError(f"{where}: deletion {index} {tuple(candidate)} must name kept positions, each once")


def plan_deletions(
    starts: Sequence[int], ends: Sequence[int], *, max_positions: int, call_cost: int, max_rows: int | None = None
) -> list[DeletionBatch]:
    """Group deletions into batches that pass as few token positions through the model as is worth the calls.

    Rows of a batch end at the same place and start where the earliest of them does. Among neighbours, sorted by where
    they start, the groups are chosen to minimise the token positions plus `call_cost` a batch (dynamic programming
    over the groups' borders; exact).

    Parameters
    ----------
    starts
        For each deletion, the place in its row from which on it has to be read.
    ends
        For each deletion, the place where reading ends.
    max_positions
        The most token positions of a batch of several rows.
    call_cost
        Token positions that take about as long as the fixed cost of one call of the model.
    max_rows
        The most rows of a batch; as many as `max_positions` allows by default.

    Returns
    -------
    list of DeletionBatch
        Ordered by end, the latest first, then by start; each deletion in exactly one.
    """
    batches: list[DeletionBatch] = []
    for stop in sorted(set(ends), reverse=True):
        group = sorted((i for i, end in enumerate(ends) if end == stop), key=lambda i: starts[i])
        widths = np.array([stop - starts[i] for i in group])
        for begin, end in _cheapest_groups(widths, max_positions, call_cost, max_rows or len(group)):
            batches.append(DeletionBatch(starts[group[begin]], int(widths[begin]), tuple(group[begin:end])))
    return batches


def _cheapest_groups(
    widths: np.ndarray[tuple[int], np.dtype[np.int64]], limit: int, cost: int, max_rows: int
) -> list[tuple[int, int]]:
    count = len(widths)
    best = np.zeros(count + 1, dtype=np.int64)  # of the rows from here on
    rows = np.ones(count, dtype=np.int64)  # of the batch that begins here
    for begin in range(count - 1, -1, -1):
        width = max(1, int(widths[begin]))
        most = max(1, min(count - begin, limit // width, max_rows))
        totals = cost + width * np.arange(1, most + 1) + best[begin + 1 : begin + most + 1]
        rows[begin] = int(totals.argmin()) + 1
        best[begin] = totals[rows[begin] - 1]
    groups, begin = [], 0
    while begin < count:
        groups.append((begin, begin + int(rows[begin])))
        begin += int(rows[begin])
    return groups
