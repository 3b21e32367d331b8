"""Grouping rows into batches, and refusing deletions that cannot be made."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokimp.errors import ScorerError
from tokimp.models.deletion.plan import DeletionBatch, check_deletions, plan_deletions
from tokimp.testing.reference import random_chain

# Where each row starts, and how many positions are read of it.
starts_and_widths = st.lists(st.tuples(st.integers(-1, 20), st.integers(0, 9)), min_size=1, max_size=25)


@given(starts_and_widths, st.integers(1, 200), st.integers(0, 100), st.integers(1, 9))
def test_every_row_is_in_one_batch_within_the_budget(
    rows: list[tuple[int, int]], budget: int, cost: int, most: int
) -> None:
    """Batches partition the rows; rows of one end together, start at the earliest, and keep to the budget."""
    starts, ends = [start for start, _ in rows], [start + width for start, width in rows]
    plan = plan_deletions(starts, ends, max_positions=budget, call_cost=cost, max_rows=most)
    assert sorted(row for batch in plan for row in batch.rows) == list(range(len(rows)))
    for batch in plan:
        assert batch.start == min(starts[row] for row in batch.rows)
        (end,) = {ends[row] for row in batch.rows}
        assert batch.width == end - batch.start
        assert len(batch.rows) <= most
        assert len(batch.rows) == 1 or batch.positions <= budget


@given(starts_and_widths, st.integers(1, 200), st.integers(0, 100))
def test_a_plan_never_costs_more_than_a_batch_for_each_row(rows: list[tuple[int, int]], budget: int, cost: int) -> None:
    """Whatever the ends, positions and calls together are at most those of reading each row on its own."""
    starts, ends = [start for start, _ in rows], [start + width for start, width in rows]
    plan = plan_deletions(starts, ends, max_positions=budget, call_cost=cost)
    alone = sum(cost + max(1, width) for _, width in rows)
    assert sum(cost + len(batch.rows) * max(1, batch.width) for batch in plan) <= alone


def test_calls_that_cost_nothing_are_made_for_each_start_and_dear_ones_once() -> None:
    """Three rows of one end: without a call cost none is read from further left than needed, else all are."""
    free = plan_deletions([0, 4, 4], [9, 9, 9], max_positions=99, call_cost=0)
    assert {(batch.start, *sorted(batch.rows)) for batch in free} in ({(0, 0), (4, 1, 2)}, {(0, 0), (4, 1), (4, 2)})
    assert plan_deletions([4, 0, 4], [9, 9, 9], max_positions=99, call_cost=50) == [DeletionBatch(0, 9, (1, 0, 2))]


def test_batches_come_with_the_latest_end_first() -> None:
    """The longest rows are read first, so what does not fit in memory shows at once."""
    plan = plan_deletions([0, 0, 3], [5, 9, 7], max_positions=99, call_cost=1)
    assert [batch.rows for batch in plan] == [(1,), (2,), (0,)]


@settings(max_examples=40)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=7), st.integers(5, 60), st.integers(0, 30))
def test_the_plan_is_the_cheapest(starts: list[int], budget: int, cost: int) -> None:
    """No other way to cut the sorted rows into groups passes fewer positions plus calls."""

    def price(widths: list[int]) -> int | None:
        total = cost + len(widths) * max(1, widths[0])
        return total if len(widths) == 1 or len(widths) * max(1, widths[0]) <= budget else None

    widths = [10 - start for start in sorted(starts)]
    prices = []
    for count in range(len(widths)):
        for cuts in combinations(range(1, len(widths)), count):
            borders = [0, *cuts, len(widths)]
            groups = [price(widths[a:b]) for a, b in pairwise(borders)]
            prices.append(sum(group for group in groups if group is not None) if None not in groups else 10**9)
    plan = plan_deletions(starts, [10] * len(starts), max_positions=budget, call_cost=cost)
    assert sum(cost + len(batch.rows) * max(1, batch.width) for batch in plan) == min(prices)


def test_halves_hold_every_row_and_a_single_row_has_none() -> None:
    """Splitting a batch loses nothing, keeps its start, and ends at single rows."""
    halves = DeletionBatch(2, 9, (4, 0, 7)).halves()
    assert halves == (DeletionBatch(2, 9, (4,)), DeletionBatch(2, 9, (0, 7)))
    assert DeletionBatch(2, 9, (4,)).halves() is None


@pytest.mark.parametrize(
    ("kept", "candidates", "message"),
    [
        ([1, 0], [], "must ascend"),
        ([0, 8], [], "between 0 and 7"),
        ([0, 2], [[1]], "deletion 0 \\(1,\\)"),
        ([0, 2], [[0], [2, 3]], "deletion 1"),
        ([0, 2], [[0, 0]], "each once"),
    ],
)
def test_impossible_deletions_are_refused(kept: list[int], candidates: list[list[int]], message: str) -> None:
    """What is not a part of the reasoning, or not there any more, is an error that names the chain."""
    with pytest.raises(ScorerError, match=f"random-0.*{message}"):
        check_deletions(random_chain(2, 8, 1), kept, candidates)
