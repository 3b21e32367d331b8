"""Steps in order and in other processes: what is waited for, and what a failure stops."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tokimp.compare.executors.local import LocalExecutor
from tokimp.contracts.executor import Executor
from tokimp.contracts.registry import load_executor
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
    """A step, done as a whole by one worker, that fails as libraries do."""

    is_piece = True

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

    def work(self, say: Say, executor: Executor) -> None:
        """Fail."""
        raise LibraryError(7, where="the bottom")


@pytest.mark.parametrize("executor", ["local", "processes:workers=2"])
@pytest.mark.slow
def test_an_error_of_a_library_does_not_take_the_others_with_it(tmp_path: Path, executor: str) -> None:
    """An exception that cannot be sent from a worker is told as text, and is not taken for a process that died."""
    said: list[str] = []
    with pytest.raises(DistillationError, match=r"1 of 1 steps failed.*broken: .*code 7 at the bottom\. Mend that"):
        run_steps([Broken(PLAN, tmp_path)], executor=load_executor(executor), say=said.append)
    assert len(said) == 1


class Sleeping(Broken):
    """A step that says on disk that it began, and takes a minute."""

    def work(self, say: Say, executor: Executor) -> None:
        """Sleep."""
        (self.out / "began").touch()
        time.sleep(60)


INTERRUPTED = """
import signal
import sys
from pathlib import Path
from tests.distillation.steps.test_schedule import PLAN, Sleeping
from tokimp.compare.executors.processes import ProcessesExecutor
from tokimp.distillation.steps.schedule import run_steps

if __name__ == "__main__":
    # Where the tests run in the background of a shell, Ctrl-C is ignored, and children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        run_steps([Sleeping(PLAN, Path(sys.argv[1]))], executor=ProcessesExecutor(workers=2), say=print)
    except KeyboardInterrupt:
        print("interrupted")
"""


@pytest.mark.slow
def test_workers_end_at_once_and_silently_on_ctrl_c(tmp_path: Path) -> None:
    """A terminal sends Ctrl-C to all processes: the workers stop their steps, and only the first process speaks."""
    program = [sys.executable, "-c", INTERRUPTED, str(tmp_path)]
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        program, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as running:
        deadline = time.monotonic() + 120
        while not (tmp_path / "began").exists() and running.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        began = time.monotonic()
        os.killpg(running.pid, signal.SIGINT)
        out, err = running.communicate(timeout=120)
    assert (out, err) == ("interrupted\n", "")
    assert time.monotonic() - began < 30


class CutOff(Broken):
    """A step whose reason was cut, and ends in an ellipsis."""

    def work(self, say: Say, executor: Executor) -> None:
        """Fail."""
        raise DistillationError("and so on...")


def test_a_reason_ends_in_no_more_points_than_it_has(tmp_path: Path) -> None:
    """An ellipsis at its end stays one."""
    with pytest.raises(DistillationError, match=r"so on\.\.\. Mend that"):
        run_steps([CutOff(PLAN, tmp_path)], executor=LocalExecutor(), say=lambda _: None)


class Scripted(Step):
    """A step of a small graph, which notes when it is done.

    It is done here. Its name is the last part of its folder; what it does stands in class attributes, by that name.
    """

    wanted: ClassVar[dict[str, tuple[str, ...]]] = {}
    already_made: ClassVar[set[str]] = set()
    failing: ClassVar[set[str]] = set()
    done: ClassVar[list[str]] = []

    @property
    def name(self) -> str:
        """Return its name."""
        return self.out.name

    @property
    def folder(self) -> Path:
        """Return a folder of its own."""
        return self.out

    @property
    def needs(self) -> tuple[Step, ...]:
        """Return the steps before it."""
        return tuple(Scripted(PLAN, self.out.parent / name) for name in self.wanted.get(self.name, ()))

    def own_identity(self) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def made(self) -> bool:
        """Return whether it was made before."""
        return self.name in self.already_made

    def work(self, say: Say, executor: Executor) -> None:
        """Note it, or fail."""
        if self.name in self.failing:
            raise DistillationError(f"{self.name} cannot be done")
        self.done.append(self.name)


@pytest.fixture
def graph(monkeypatch: pytest.MonkeyPatch) -> type[Scripted]:
    """Return the class of steps: b needs a, c needs b, and d needs nothing."""
    monkeypatch.setattr(Scripted, "wanted", {"b": ("a",), "c": ("b",)})
    for name, empty in (("already_made", set[str]()), ("failing", set[str]()), ("done", list[str]())):
        monkeypatch.setattr(Scripted, name, empty)
    return Scripted


def test_a_step_comes_after_what_it_needs_and_else_in_its_place(tmp_path: Path, graph: type[Scripted]) -> None:
    """Steps given in any order are done in one that works; among those that can begin, the first given is first."""
    run_steps([graph(PLAN, tmp_path / name) for name in "cbda"], executor=LocalExecutor(), say=lambda _: None)
    assert graph.done == ["d", "a", "b", "c"]


def test_a_step_that_is_not_among_them_counts_as_done(tmp_path: Path, graph: type[Scripted]) -> None:
    """What was finished earlier is not waited for."""
    run_steps([graph(PLAN, tmp_path / name) for name in "bc"], executor=LocalExecutor(), say=lambda _: None)
    assert graph.done == ["b", "c"]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("made", [set(), {"b"}])
def test_a_failure_stops_only_what_needs_it(tmp_path: Path, graph: type[Scripted], made: set[str]) -> None:
    """What needs a failed step is not begun, nor what needs that, even if it was made earlier; the rest is done."""
    graph.failing.add("a")
    graph.already_made.update(made)
    failures = 3 - len(made)
    with pytest.raises(DistillationError, match=rf"{failures} of 4 steps failed, 1 are done .* the first, a: a cannot"):
        run_steps([graph(PLAN, tmp_path / name) for name in "abcd"], executor=LocalExecutor(), say=lambda _: None)
    assert graph.done == ["d"]
