"""What a model can do is found by trying it, and a trial tells another make of model from a fault."""

from __future__ import annotations

import pytest
import torch

from tokimp.errors import UnsupportedError
from tokimp.models.trial import FOREIGN_FAILURES, passes


@pytest.mark.parametrize("answer", [True, False])
def test_a_trial_that_ends_says_itself_whether_it_passed(answer: bool) -> None:
    """What a trial returns is the answer."""
    assert passes(lambda: answer) is answer


@pytest.mark.parametrize("failure", [UnsupportedError, *FOREIGN_FAILURES])
def test_code_that_was_not_written_for_the_trial_does_not_pass(failure: type[Exception]) -> None:
    """A model of another make fails in one of these ways, which is an answer: no."""

    def trial() -> bool:
        raise failure("it has no such module")

    assert passes(trial) is False


@pytest.mark.parametrize(
    "failure", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("CUDA out of memory."), ZeroDivisionError()]
)
def test_other_failures_are_no_answer(failure: Exception) -> None:
    """Where memory runs out, or something else is wrong, nothing is known of the model: the error is raised."""

    def trial() -> bool:
        raise failure

    with pytest.raises(type(failure)):
        passes(trial)
