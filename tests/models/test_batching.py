"""Batches by length, and what happens when memory runs out."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tokimp.errors import ScorerError
from tokimp.models.batching import (
    PositionBudget,
    batches_by_length,
    out_of_memory,
    run_within_memory,
    single_sequence,
    split_list,
)


@given(st.lists(st.integers(1, 40), max_size=30), st.integers(1, 200))
def test_every_sequence_is_in_one_batch_within_the_budget(lengths: list[int], budget: int) -> None:
    """Batches partition the sequences, and only a batch of one exceeds the budget, padding included."""
    batches = batches_by_length(lengths, budget)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[index] for index in batch) <= budget
    assert [lengths[index] for batch in batches for index in batch] == sorted(lengths, reverse=True)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=20), st.integers(20, 100))
@pytest.mark.slow
def test_batches_shrink_until_they_fit(lengths: list[int], memory: int) -> None:
    """Whatever the memory, as long as each row fits alone every row is run once, and the size that fitted stays."""
    budget, done = PositionBudget(1000), []

    def positions(batch: list[int]) -> int:
        return len(batch) * max(lengths[index] for index in batch)

    def run(batch: list[int]) -> None:
        if positions(batch) > memory:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        done.extend(batch)

    run_within_memory([list(range(len(lengths)))], run, split=split_list, positions=positions, budget=budget)
    assert sorted(done) == list(range(len(lengths)))
    if positions(list(range(len(lengths)))) > memory:
        assert budget.positions < 1000


def test_a_budget_that_shrank_is_kept_to_without_a_failure() -> None:
    """After one failure, later batches are split before they are run."""
    budget, sizes = PositionBudget(8), []

    def run(batch: list[int]) -> None:
        sizes.append(len(batch))
        if len(batch) > 4:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory")

    run_within_memory([list(range(8))] * 2, run, split=split_list, positions=len, budget=budget)
    assert sizes == [8, 4, 4, 4, 4]
    assert budget.positions == 4


def test_a_row_that_does_not_fit_alone_is_one_clear_error() -> None:
    """A single row that runs out of memory raises an error that gives its size and what to do."""

    def run(batch: list[int]) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB\nmore")

    with pytest.raises(ScorerError, match=r"7 token positions does not fit in memory.*shorter chain") as caught:
        run_within_memory([[0, 1]], run, split=split_list, positions=lambda _: 7, budget=PositionBudget(9))
    assert "\n" not in str(caught.value)
    with pytest.raises(ScorerError, match="5 token positions"), single_sequence(5):
        run([0])


def test_other_errors_pass_through() -> None:
    """An error that has nothing to do with memory is not taken for one."""

    def run(batch: list[int]) -> None:
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        run_within_memory([[0, 1]], run, split=split_list, positions=len, budget=PositionBudget(9))
    with pytest.raises(RuntimeError, match="shapes"), single_sequence(5):
        run([0])


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("anything"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 5 GB)"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), True),
        (RuntimeError("index out of range"), False),
        (ValueError("out of memory."), False),
    ],
)
def test_memory_errors_of_every_device_are_known(*, error: Exception, expected: bool) -> None:
    """CUDA's, MPS's and the CPU allocator's errors count; others do not."""
    assert out_of_memory(error) is expected


def test_an_empty_budget_is_refused() -> None:
    """A batch that may hold nothing is an error."""
    with pytest.raises(ScorerError, match="at least one token position"):
        PositionBudget(0)
