"""Steps in other processes: what they raise comes back, whatever it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tokimp.distillation.plan.plan import Plan
from tokimp.distillation.steps.schedule import run_steps
from tokimp.distillation.steps.step import Say, Step
from tokimp.errors import DistillationError

PLAN = Plan.of(
    {"task": "word_problems", "teachers": ["tiny"], "students": ["tiny"], "methods": ["uniform"], "keep_ratios": [0.5]}
)


class LibraryError(Exception):
    """An error that pickle cannot make anew: what its class is called with is not what it holds."""

    def __init__(self, code: int, *, where: str) -> None:
        super().__init__(f"code {code} at {where}.")


class Broken(Step):
    """A step that fails as libraries do."""

    @property
    def name(self) -> str:
        """Return its name."""
        return "broken"

    def own_identity(self) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def made(self) -> bool:
        """Return that it is not."""
        return False

    def work(self, say: Say) -> None:
        """Fail."""
        raise LibraryError(7, where="the bottom")


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_an_error_of_a_library_does_not_take_the_others_with_it(tmp_path: Path, jobs: int) -> None:
    """An exception that cannot be sent from a worker is told as text, and is not taken for a process that died."""
    said: list[str] = []
    with pytest.raises(DistillationError, match=r"1 of 1 steps failed.*broken: .*code 7 at the bottom\. Mend that"):
        run_steps([Broken(PLAN, tmp_path)], jobs=jobs, say=said.append)
    assert len(said) == 1


class CutOff(Broken):
    """A step whose reason was cut, and ends in an ellipsis."""

    def work(self, say: Say) -> None:
        """Fail."""
        raise DistillationError("and so on...")


def test_a_reason_ends_in_no_more_points_than_it_has(tmp_path: Path) -> None:
    """An ellipsis at its end stays one."""
    with pytest.raises(DistillationError, match=r"so on\.\.\. Mend that"):
        run_steps([CutOff(PLAN, tmp_path)], jobs=1, say=lambda _: None)
