"""What is sent to workers, and what they say of errors."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch

from tokimp.compare.executors.worker_side import packed, sendable, worker_fault
from tokimp.contracts.executor import Work
from tokimp.errors import EstimatorError, ExecutorError


class Calls(Work):
    """Does what a function does."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def prepare(self) -> Any:
        """Return the function."""
        return self.function


def test_a_function_of_a_notebook_goes_along_with_the_modules_that_it_uses() -> None:
    """A notebook's ``import tokimp as ti`` is no obstacle, though tokimp is a module of a class of its own."""
    cell: dict[str, Any] = {"__name__": "__main__"}
    exec("import tokimp as ti\ndef own(payload):\n    return ti.Chain(payload, 'q', 'r', 'a').id", cell)  # noqa: S102 - as a notebook does
    work: Work = pickle.loads(packed(Calls(cell["own"]), threads=1).content)  # noqa: S301 - packed above
    assert work.prepare()("c7") == "c7"


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (MemoryError(), "memory ran out"),
        (torch.OutOfMemoryError("CUDA out of memory"), "memory ran out"),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), "its GPU failed"),
        (ValueError("a mistake"), ""),
    ],
)
def test_a_fault_is_found_behind_the_error_that_was_made_of_it(error: Exception, fault: str) -> None:
    """Memory and GPUs say why a worker cannot go on, however deep below an estimator's error."""
    wrapped = EstimatorError("wrapped")
    wrapped.__cause__ = error
    found = worker_fault(wrapped)
    assert found.startswith(fault)
    assert bool(found) == bool(fault)


class Stubborn(Exception):  # noqa: N818 - a test's own
    """Cannot be made again from its message."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


def test_an_error_that_cannot_be_sent_is_described() -> None:
    """Its type and message arrive all the same; others arrive as they are."""
    described = sendable(Stubborn(1, 2))
    assert isinstance(described, ExecutorError)
    assert str(described) == "Stubborn: 1 and 2"
    error = EstimatorError("as it is")
    assert sendable(error) is error
