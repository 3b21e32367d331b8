"""Group sequences of similar length into batches, and halve a batch when memory runs out."""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from accelerate.utils.memory import should_reduce_batch_size

from tokimp.errors import ScorerError

T = TypeVar("T")


@dataclass(slots=True)
class PositionBudget:
    """The most token positions that go through the model at once.

    Attributes
    ----------
    positions
        The number, at least 1. It gets smaller, for good, when memory runs out.

    Raises
    ------
    ScorerError
        If the number is below 1.
    """

    positions: int

    def __post_init__(self) -> None:
        if self.positions < 1:
            raise ScorerError(f"a batch holds at least one token position, not {self.positions}")


def batches_by_length(lengths: Sequence[int], max_positions: int) -> list[list[int]]:
    """Group sequences of similar length, so that padding wastes little.

    Parameters
    ----------
    lengths
        Lengths of the sequences, in tokens.
    max_positions
        The most token positions of a batch, padding included. A longer sequence is a batch of its own.

    Returns
    -------
    list of list of int
        Indices into `lengths`, the longest sequences first, so that a lack of memory shows at once. Sequences of equal
        length keep their order.
    """
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        if batches and (len(batches[-1]) + 1) * lengths[batches[-1][0]] <= max_positions:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def split_list(batch: list[int]) -> tuple[list[int], list[int]] | None:
    """Return the two halves of a batch, or ``None`` if it has a single row."""
    middle = len(batch) // 2
    return (batch[:middle], batch[middle:]) if middle else None


def out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory ran out, on any device."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, Exception) and bool(should_reduce_batch_size(error))


def run_within_memory(
    batches: Iterable[T],
    run: Callable[[T], None],
    *,
    split: Callable[[T], tuple[T, T] | None],
    positions: Callable[[T], int],
    budget: PositionBudget,
) -> None:
    """Run every batch. A batch that does not fit in memory is halved, and its halves are run instead.

    Parameters
    ----------
    batches
        The batches, in the order in which they are run.
    run
        Runs one batch. If memory runs out during the call, it is called again with the halves of the batch.
    split
        Returns the two halves of a batch, or ``None`` if it has a single row.
    positions
        Counts the token positions of a batch.
    budget
        The most token positions of a batch of several rows. After a failure it is set to half of what did not fit, so
        that later batches are small enough from the start.

    Raises
    ------
    ScorerError
        If a single row does not fit.
    """
    waiting = deque(batches)
    while waiting:
        batch = waiting.popleft()
        halves = split(batch)
        if halves is not None and positions(batch) > budget.positions:
            waiting.extendleft(reversed(halves))
            continue
        failure = memory_failure(lambda batch=batch: run(batch))  # type: ignore[misc] # mypy knows no such default
        # The error and its traceback keep the batch's tensors alive. Both are gone here, so memory can be released.
        if failure:
            release_memory()
            if halves is None:
                raise too_large(positions(batch), failure)
            budget.positions = max(1, min(budget.positions, positions(batch) // 2))
            waiting.extendleft(reversed(halves))


def memory_failure(run: Callable[[], None]) -> str:
    """Call `run`; return the error's first line if memory ran out, else an empty text. Other errors pass through."""
    try:
        run()
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        return _first_line(error) or type(error).__name__
    return ""


@contextmanager
def single_sequence(positions: int) -> Iterator[None]:
    """Turn running out of memory on one sequence, which cannot be halved, into a `ScorerError`."""
    try:
        yield
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        raise too_large(positions, _first_line(error)) from error


def too_large(positions: int, failure: str) -> ScorerError:
    """Return the error that says that one sequence alone does not fit in memory."""
    return ScorerError(
        f"a single sequence of {positions} token positions does not fit in memory ({failure}); "
        "use a shorter chain, a smaller dtype or a device with more memory"
    )


def _first_line(error: Exception) -> str:
    return str(error).split("\n", maxsplit=1)[0]


def release_memory() -> None:
    """Give memory that is no longer used back to the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()
