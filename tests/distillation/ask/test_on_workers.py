"""Sampling and evaluating on workers: the bytes of this process, and errors that lose nothing that was written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compare.executors.killed_driver import SlowEngine
from tests.distillation.scripted import Sums
from tokimp.compare.executors.processes import ProcessesExecutor
from tokimp.contracts.progress import Progress
from tokimp.distillation.ask.evaluate import evaluate
from tokimp.distillation.ask.sample import sample
from tokimp.errors import TaskError
from tokimp.storage.batch_log import BatchLog


@pytest.fixture(scope="module")
def executor() -> Iterator[ProcessesExecutor]:
    """Return two workers, which keep their model from test to test."""
    with ProcessesExecutor(workers=2) as running:
        yield running


@pytest.fixture
def engine(tmp_path: Path) -> SlowEngine:
    """Return a model that workers can load."""
    (tmp_path / "notes").mkdir()
    return SlowEngine(str(tmp_path / "notes"))


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of everything but run.json, which says when the run began."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name not in {"run.json", ".lock"}}


@pytest.mark.slow
def test_samples_are_those_of_this_process(executor: ProcessesExecutor, engine: SlowEngine, tmp_path: Path) -> None:
    """Whoever writes a batch, and in whichever order: every file has the same bytes; rounds are judged there too."""
    questions, seen = Sums().questions(limit=12), list[Progress]()
    for name, where in (("here", "local"), ("there", executor)):
        out = tmp_path / name
        sample(
            Sums(), questions, engine, out, n=4, per_round=2, batch_questions=2, executor=where, progress=seen.append
        )
    assert contents(tmp_path / "here") == contents(tmp_path / "there")
    assert [progress.done for progress in seen] == [2, 4, 6, 8, 10, 12] * 2
    assert {progress.workers for progress in seen} <= {1, 2}  # how many were alive: the second may begin too late


def test_evaluations_are_those_of_this_process(executor: ProcessesExecutor, engine: SlowEngine, tmp_path: Path) -> None:
    """Accuracy, answers and positions are the same."""
    questions = Sums().questions(limit=9)
    here, there = (
        evaluate(engine, Sums(), questions, tmp_path / name, batch_questions=4, executor=where)
        for name, where in (("here", "local"), ("there", executor))
    )
    assert here == there
    assert contents(tmp_path / "here") == contents(tmp_path / "there")


class Fails(Sums):
    """Cannot judge one answer."""

    name = "fails"

    def is_right(self, answer: str, gold: str) -> bool | None:
        """Raise."""
        if gold == "3":
            raise ValueError("not three")
        return super().is_right(answer, gold)


def test_what_was_written_is_kept_where_the_task_fails(
    executor: ProcessesExecutor, engine: SlowEngine, tmp_path: Path
) -> None:
    """The responses of the batch on which the task fails are on disk, since they cost the most."""
    questions = [question for question in Sums().questions() if question.gold == "3"][:2]
    with pytest.raises(TaskError, match="not three"):
        evaluate(engine, Fails(), questions, tmp_path / "out", executor=executor)
    assert len(BatchLog(tmp_path / "out").whole) == 1
