"""The executor ``submitit``: cells as array jobs of a batch system (SLURM), or as processes of this machine."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

from tokimp.compare.executors.shares import own_threads
from tokimp.compare.executors.worker_side import Reply, SentWork, packed
from tokimp.contracts.constraints import AnyOf, OneOf, Optional, Text, WholeNumber
from tokimp.contracts.executor import Executor, Failure, Outcome, Piece, Work, Workers
from tokimp.errors import ExecutorError, TokimpWarning
from tokimp_submitit.job import Job, NotReady

__all__ = ["SubmititExecutor"]

_LONGEST_REASON = 600
_MOST_FAILED_STARTS = 3


class SubmititExecutor(Executor):
    """Runs cells as jobs of an array; each loads the model, computes its cells and brings them back when it ends.

    A job that the batch system takes back (preempted, out of time) is queued again with what it has computed so far.
    The cells of a job that dies go again, each in a job of its own. Where three jobs cannot load the model, and none
    could before, the run ends with the reason. The driver waits where it was started, on a login node for example, and
    stores the cells of every job that ends. If it is killed, the jobs under way are for nothing: give the same command
    again.

    Parameters
    ----------
    workers
        How many jobs run at once.
    retries
        How often a cell is tried again whose job died.
    cells_a_job
        How many pieces (an estimator on a chain, or on a group of chains) each job computes.
    minutes
        The most minutes that a job may take, for the batch system.
    partition
        The partition of SLURM; None for its default.
    gpus
        GPUs a job: 1, or 0 on a CPU.
    folder
        Where submitit keeps its files and logs; all nodes must see it.
    cluster
        ``slurm``; ``local`` for processes of this machine; None for SLURM if it is here, and else ``local``.
    """

    name = "submitit"
    constraints = {
        "workers": WholeNumber(1),
        "retries": WholeNumber(0),
        "cells_a_job": WholeNumber(1),
        "minutes": WholeNumber(1),
        "partition": Optional(Text()),
        "gpus": WholeNumber(0),
        "folder": Text(),
        "cluster": Optional(AnyOf(OneOf("slurm", "local"))),
    }

    def __init__(  # noqa: PLR0917 - parameters, which are named in a specification
        self,
        workers: int = 8,
        retries: int = 2,
        cells_a_job: int = 64,
        minutes: int = 240,
        partition: str | None = None,
        gpus: int = 0,
        folder: str = "submitit",
        cluster: str | None = None,
    ) -> None:
        self.workers = workers
        self.retries = retries
        self.cells_a_job = cells_a_job
        self.minutes = minutes
        self.partition = partition
        self.gpus = gpus
        self.folder = folder
        self.cluster = cluster

    def start(self) -> None:
        """Find the batch system."""
        try:
            import submitit  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise ExecutorError("the executor submitit needs submitit: pip install 'tokimp[slurm]'") from error
        try:
            self._submitter: Any = submitit.AutoExecutor(Path(self.folder), cluster=self.cluster)
        except RuntimeError as error:
            raise ExecutorError(f"the batch system {self.cluster!r} is not here: {error}") from error
        self._is_here = self._submitter.cluster == "local"
        self._submitter.update_parameters(
            name="tokimp", timeout_min=self.minutes, gpus_per_node=self.gpus, cpus_per_task=own_threads()
        )
        if not self._is_here:
            partition = {} if self.partition is None else {"slurm_partition": self.partition}
            self._submitter.update_parameters(slurm_array_parallelism=self.workers, **partition)

    def size(self, work: Work) -> int:
        """Return how many jobs run at once."""
        return self.workers

    def run(
        self, work: Work, pieces: Sequence[Piece], watch: Callable[[Workers], None]
    ) -> Generator[Outcome, None, None]:
        """Do all pieces; see `Executor.run`."""
        if not pieces:
            return
        sent = packed(work, own_threads())
        with self:
            array = _Array(self, sent, pieces, watch)
            try:
                yield from array.outcomes()
            finally:
                array.cancel()

    def submitted(self, jobs: Sequence[Job]) -> list[Any]:
        """Submit jobs as one array; return what submitit calls them."""
        with self._submitter.batch():
            return [self._submitter.submit(job) for job in jobs]

    @property
    def most_at_once(self) -> int:
        """How many jobs may be submitted and not done: SLURM holds back those of an array that are too many."""
        return self.workers if self._is_here else 10**9


class _Array:
    """One run: which pieces wait, and which are in which job."""

    def __init__(
        self, executor: SubmititExecutor, sent: SentWork, pieces: Sequence[Piece], watch: Callable[[Workers], None]
    ) -> None:
        self._executor, self._sent, self._watch = executor, sent, watch
        heaviest = sorted(pieces, key=lambda piece: (-piece.weight, piece.index))
        # Dealt like cards, so that every job gets some of the heavy ones.
        count = -(-len(heaviest) // executor.cells_a_job)
        self._waiting = [heaviest[first::count] for first in range(count)]
        self._running: dict[Any, list[Piece]] = {}
        self._losses: dict[int, int] = {}
        self._lost = self._failed_starts = 0
        self._ready_once = False

    def outcomes(self) -> Iterator[Outcome]:
        """Yield what the jobs bring back."""
        pause = 0.05
        while self._waiting or self._running:
            self._submit()
            ended = [job for job in self._running if job.done()]
            for job in ended:
                yield from self._ended(job, self._running.pop(job))
            pause = 0.05 if ended else min(5.0, 1.5 * pause)
            if not ended:
                time.sleep(pause)

    def cancel(self) -> None:
        """Take back the jobs that are not done."""
        for job in self._running:
            job.cancel()
            _remove_pickles(job)

    def _submit(self) -> None:
        room = self._executor.most_at_once - len(self._running)
        batch, self._waiting = self._waiting[:room], self._waiting[room:]
        if not batch:
            return
        jobs = [Job(self._sent, {piece.index: piece.payload for piece in pieces}) for pieces in batch]
        self._running |= dict(zip(self._executor.submitted(jobs), batch, strict=True))
        self._watch(Workers(len(self._running), self._lost))

    def _ended(self, job: Any, pieces: list[Piece]) -> Iterator[Outcome]:
        error = job.exception()
        brought = {} if error is not None else job.result()
        # Whatever became of it, nobody asks again: its pieces go into other jobs, and the reason is in its logs.
        _remove_pickles(job)
        if isinstance(brought, NotReady):
            yield from self._not_ready(brought.problem, pieces)
            return
        replies: dict[int, Reply] = brought
        reason = "" if error is None else _in_a_line(error)[-_LONGEST_REASON:]
        if error is None:
            self._ready_once = True
        else:
            self._lost += 1
        for piece in pieces:
            reply = replies.get(piece.index)
            if reply is None or (reply.fault and self._may_try_again(piece)):
                # Without a reply or a reason: the job ended early because of another piece.
                if reply is None and reason and not self._may_try_again(piece):
                    yield _given_up(piece, f"was lost with each job that tried it: {reason}")
                    continue
                self._waiting.append([piece])
                continue
            for text in reply.warned:
                warnings.warn(text, TokimpWarning, stacklevel=2)
            yield Outcome(piece, reply.result, reply.failure, reply.threads)
        self._watch(Workers(len(self._running), self._lost))

    def _not_ready(self, problem: Exception, pieces: list[Piece]) -> Iterator[Outcome]:
        """Let the pieces of a job that did not get ready go again, together; raise where no job ever gets ready."""
        self._lost += 1
        self._failed_starts += 1
        if not self._ready_once and self._failed_starts >= _MOST_FAILED_STARTS:
            why = _in_a_line(problem)
            raise ExecutorError(
                f"no worker of the executor submitit could be started; the last one: {why}"
            ) from problem
        again = [piece for piece in pieces if self._may_try_again(piece)]
        if again:
            self._waiting.append(again)
        for piece in pieces:
            if piece not in again:
                yield _given_up(piece, f"was in jobs that did not get ready: {_in_a_line(problem)}")
        self._watch(Workers(len(self._running), self._lost))

    def _may_try_again(self, piece: Piece) -> bool:
        self._losses[piece.index] = self._losses.get(piece.index, 0) + 1
        return self._losses[piece.index] <= self._executor.retries


def _given_up(piece: Piece, why: str) -> Outcome:
    return Outcome(piece, failure=Failure(ExecutorError(f"{piece.name} {why}"), type="WorkerLost"))


def _remove_pickles(job: Any) -> None:
    """Remove what a job was sent and what it brought back, once it is taken; its logs stay."""
    for path in (job.paths.submitted_pickle, job.paths.result_pickle):
        path.unlink(missing_ok=True)


def _in_a_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
