"""Submitit: cells in jobs of this machine, as a batch system would run them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokimp_submitit import SubmititExecutor
from tokimp_submitit.job import Job

import tokimp as ti
from tests.compare.executors.acting_work import Acts
from tests.compare.executors.byte_scorer import Patient, chains, scorer
from tokimp.compare.executors.worker_side import packed
from tokimp.contracts.executor import Piece
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


def test_a_job_that_is_queued_again_keeps_what_it_has(tmp_path: Path) -> None:
    """What a job has computed goes with it when the batch system takes it back."""
    sent = packed(Acts(tmp_path), threads=1)
    job = Job(sent, {0: ("", 0, 0), 1: ("", 0, 1)})
    job()
    again = job.checkpoint().function
    assert [reply.result for reply in again().values()] == [0, 1]
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
