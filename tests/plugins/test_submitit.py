"""Submitit: cells in jobs of this machine, as a batch system would run them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tokimp_submitit import SubmititExecutor
from tokimp_submitit.job import Job, NotReady

import tokimp as ti
from tests.compare.executors.acting_work import Acts, CannotStart
from tests.compare.executors.byte_scorer import Patient, chains, scorer
from tokimp.compare.executors.worker_side import packed
from tokimp.contracts.executor import Piece
from tokimp.errors import ExecutorError
from tokimp.testing import check_executor


def executor(folder: Path, **parameters: Any) -> SubmititExecutor:
    """Return an executor whose jobs are processes of this machine."""
    return SubmititExecutor(workers=2, folder=str(folder / "jobs"), cluster="local", **parameters)


@pytest.mark.slow
def test_it_keeps_the_contract(tmp_path: Path) -> None:
    """Jobs do what the contract asks."""
    check_executor(executor(tmp_path))


@pytest.mark.slow
def test_a_job_that_dies_costs_its_pieces_another_try(tmp_path: Path) -> None:
    """Each of its pieces gets a job of its own; what kills every job is given up, and the rest is done."""
    (tmp_path / "notes").mkdir()
    hows = [("", 0), ("killed", 1), ("killed", 9), ("", 0)]
    pieces = [Piece(number, f"piece {number}", (*how, number)) for number, how in enumerate(hows)]
    running = executor(tmp_path, cells_a_job=4, retries=1)
    outcomes = {one.piece.index: one for one in running.run(Acts(tmp_path / "notes"), pieces, lambda _: None)}
    assert [outcomes[number].result for number in (0, 1, 3)] == [0, 1, 9]
    failure = outcomes[2].failure
    assert failure is not None
    assert "piece 2 was lost with each job that tried it" in str(failure.error)


class Loading:
    """A job of submitit that has ended, and could not load the model, or did its pieces."""

    def __init__(self, job: Job, folder: Path) -> None:
        self._job = job
        self.paths = SimpleNamespace(submitted_pickle=folder / "submitted.pkl", result_pickle=folder / "result.pkl")
        for path in vars(self.paths).values():
            path.touch()

    def done(self) -> bool:
        """Return that it has ended."""
        return True

    def exception(self) -> None:
        """Return that it did not die."""

    def result(self) -> Any:
        """Return what it brings back."""
        return self._job()

    def cancel(self) -> None:
        """Do nothing: it has ended."""


def submitted_here(running: SubmititExecutor, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """Let an executor do its jobs in this process, and return the list of those that it submits."""
    jobs: list[Job] = []

    def submitted(batch: Sequence[Job]) -> list[Any]:
        jobs.extend(batch)
        return [Loading(job, folder) for job in batch]

    monkeypatch.setattr(running, "submitted", submitted)
    return jobs


def test_a_model_that_no_job_can_load_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After three jobs the reason is said; no cell is sent in a job of its own to find the same."""
    running = executor(tmp_path, cells_a_job=4, retries=5)
    jobs = submitted_here(running, tmp_path, monkeypatch)
    pieces = [Piece(number, f"piece {number}", ("", 0, number)) for number in range(40)]
    with pytest.raises(ExecutorError, match=r"no worker of the executor submitit could be started.*no weights here"):
        list(running.run(CannotStart(), pieces, lambda _: None))
    assert len(jobs) <= 4
    assert not list(tmp_path.glob("*.pkl"))


def test_a_job_leaves_no_copy_of_its_cells_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it was sent and what it brought back is removed once it was taken."""
    running = executor(tmp_path)
    submitted_here(running, tmp_path, monkeypatch)
    (tmp_path / "notes").mkdir()
    outcomes = list(running.run(Acts(tmp_path / "notes"), [Piece(0, "piece 0", ("", 0, 3))], lambda _: None))
    assert [outcome.result for outcome in outcomes] == [9]
    assert not list(tmp_path.glob("*.pkl"))


def test_a_job_that_is_queued_again_keeps_what_it_has(tmp_path: Path) -> None:
    """What a job has computed goes with it when the batch system takes it back."""
    sent = packed(Acts(tmp_path), threads=1)
    job = Job(sent, {0: ("", 0, 0), 1: ("", 0, 1)})
    job()
    again = job.checkpoint().function
    replies = again()
    assert not isinstance(replies, NotReady)
    assert [reply.result for reply in replies.values()] == [0, 1]
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.slow
def test_a_comparison_has_the_bits_of_this_process(tmp_path: Path) -> None:
    """Jobs and no job give the same numbers."""
    estimators: list[Any] = ["leave_one_out", Patient()]
    here = ti.compare(chains(), scorer(), estimators, prompt_format="plain", seed=5)
    jobs = executor(tmp_path, cells_a_job=8)
    there = ti.compare(chains(), scorer(), estimators, prompt_format="plain", seed=5, executor=jobs)
    for name in ("importance", "rank", "logprob"):
        np.testing.assert_array_equal(here[name].to_numpy(), there[name].to_numpy(), err_msg=name)
