"""Group rows into batches, so that few calls pass few token positions through the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tokimp.chains.arrays import IntArray
from tokimp.chains.chain import TokenizedChain
from tokimp.errors import ScorerError


@dataclass(frozen=True, slots=True)
class DeletionBatch:
    """Rows that are read together. They have one length, so they need no masks and no padding.

    Attributes
    ----------
    start
        The first token that is read of every row, an index into the reasoning that is left. Everything before it is
        stored. -1 is the last token of the prompt.
    width
        Token positions that are read of each row.
    rows
        Indices of the rows, in the order of where each would start on its own.
    """

    start: int
    width: int
    rows: tuple[int, ...]

    @property
    def positions(self) -> int:
        """Token positions that are read of all rows together."""
        return self.width * len(self.rows)

    def halves(self) -> tuple[DeletionBatch, DeletionBatch] | None:
        """Return two batches with half of the rows each, or ``None`` if there is only one row."""
        middle = len(self.rows) // 2
        if not middle:
            return None
        left, right = self.rows[:middle], self.rows[middle:]
        return DeletionBatch(self.start, self.width, left), DeletionBatch(self.start, self.width, right)


def check_deletions(chain: TokenizedChain, kept: Sequence[int], candidates: Sequence[Sequence[int]]) -> None:
    """Check that `kept` ascends within the reasoning, and that every candidate is a part of `kept`.

    Raises
    ------
    ScorerError
        If not; the message names the chain and the deletion.
    """
    where, length = chain.chain.where, len(chain.reasoning_ids)
    if any(a >= b for a, b in pairwise(kept)) or (kept and not 0 <= kept[0] <= kept[-1] < length):
        raise ScorerError(f"{where}: kept positions must ascend and lie between 0 and {length - 1}")
    kept_positions = set(kept)
    for index, candidate in enumerate(candidates):
        if len(set(candidate)) < len(candidate) or not kept_positions.issuperset(candidate):
            raise ScorerError(f"{where}: deletion {index} {tuple(candidate)} must name kept positions, each once")


def plan_deletions(
    starts: Sequence[int], ends: Sequence[int], *, max_positions: int, call_cost: int, max_rows: int | None = None
) -> list[DeletionBatch]:
    """Group rows into the batches that cost least: token positions that are read, plus `call_cost` for each batch.

    All rows of a batch end at the same place, and all start where the earliest of them has to. A larger batch saves
    calls, but reads its later rows from further left than they need. The rows of one end are sorted by where they
    start, and the sorted list is cut into groups at the lowest cost there is (exact, by dynamic programming).

    Parameters
    ----------
    starts
        For each row, the place from which it has to be read.
    ends
        For each row, the place where reading ends.
    max_positions
        The most token positions of a batch. A single row may exceed it.
    call_cost
        Token positions that take about as long as the fixed cost of one call of the model.
    max_rows
        The most rows of a batch; by default as many as `max_positions` allows.

    Returns
    -------
    list of DeletionBatch
        Each row is in exactly one batch. Batches are ordered by end, the latest first, then by start.
    """
    batches: list[DeletionBatch] = []
    for common_end in sorted(set(ends), reverse=True):
        rows = sorted((row for row, end in enumerate(ends) if end == common_end), key=lambda row: starts[row])
        widths = np.array([common_end - starts[row] for row in rows])
        for first, stop in cheapest_groups(widths, call_cost, max_positions, max_rows):
            batches.append(DeletionBatch(starts[rows[first]], int(widths[first]), tuple(rows[first:stop])))
    return batches


def cheapest_groups(
    widths: IntArray, call_cost: int, max_positions: int | None = None, max_rows: int | None = None
) -> list[tuple[int, int]]:
    """Return the borders (first, stop) of the groups of rows, sorted from wide to narrow, that cost least together.

    A group costs `call_cost`, and for each of its rows the width of its widest.
    """
    n_rows = len(widths)
    max_rows = n_rows if max_rows is None else max_rows
    lowest_cost = np.zeros(n_rows + 1, dtype=np.int64)  # of all rows from this one on
    group_size = np.ones(n_rows, dtype=np.int64)  # of the group that begins with this row, at the lowest cost
    for first in range(n_rows - 1, -1, -1):
        width = max(1, int(widths[first]))
        most = n_rows if max_positions is None else max_positions // width
        largest = max(1, min(n_rows - first, most, max_rows))
        costs = call_cost + width * np.arange(1, largest + 1) + lowest_cost[first + 1 : first + largest + 1]
        group_size[first] = int(costs.argmin()) + 1
        lowest_cost[first] = costs[group_size[first] - 1]
    groups, first = [], 0
    while first < n_rows:
        stop = first + int(group_size[first])
        groups.append((first, stop))
        first = stop
    return groups
