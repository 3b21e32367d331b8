"""Executors with workers that can die: who does what, what is tried again, and when a worker is given up."""

from __future__ import annotations

import time
import warnings
from abc import abstractmethod
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tokimp.compare.executors.worker_side import Reply, SentWork, packed
from tokimp.contracts.constraints import AnyOf, Number, OneOf, Optional, WholeNumber
from tokimp.contracts.executor import Executor, Failure, Outcome, Piece, Work, Workers
from tokimp.errors import ExecutorError, TokimpWarning

_LONGEST_WAIT = 1.0  # seconds; after it, limits of time and the number of workers are looked at again
_MOST_FAILED_STARTS = 3


class PoolWorker:
    """One worker, as the process that hands out pieces sees it. What it is told ends in an `Event`.

    Attributes
    ----------
    name
        What messages call it.
    """

    name: str

    def prepare(self, sent: SentWork) -> None:
        """Let it make work ready; a ``ready`` or ``failed`` event follows."""
        raise NotImplementedError

    def do(self, payload: Any) -> None:
        """Let it do a piece; a ``done`` event follows."""
        raise NotImplementedError

    def kill(self) -> None:
        """End it at once; no event follows."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Event:
    """What came from a worker.

    Attributes
    ----------
    worker
        The worker.
    kind
        ``placed``: its process runs. ``ready``: it has made the work ready. ``failed``: it could not. ``done``: a
        piece. ``died``: it is gone.
    value
        The `Reply` for a piece; the exception where making ready failed.
    reason
        Why it died.
    blameless
        Whether it died with its node, which says nothing about the piece that it was at.
    """

    worker: PoolWorker
    kind: Literal["placed", "ready", "failed", "done", "died"]
    value: Any = None
    reason: str = ""
    blameless: bool = False


@dataclass(slots=True)
class _Seat:
    """The place of one worker, and of those that replace it.

    Attributes
    ----------
    worker
        Who has it; None if nobody does.
    state
        What the worker does.
    work
        The work that it has made ready, or is making ready: that of an earlier run, if it has not been told since.
    piece
        The piece it is at.
    deadline
        When what it does has taken too long; None if it may take as long as it likes.
    failed_starts
        How many workers in a row did not get ready here.
    """

    number: int
    worker: PoolWorker | None = None
    state: Literal["starting", "preparing", "idle", "busy"] = "starting"
    work: SentWork | None = None
    piece: Piece | None = None
    deadline: float | None = None
    failed_starts: int = 0


class WorkerPool(Executor):
    """Hands pieces to workers, the heaviest first, one piece a worker at a time.

    A piece whose worker dies or takes too long goes to another worker. After `retries` more tries it is given up: its
    outcome is a failure. A worker whose memory ran out or whose GPU failed is replaced. A place where three workers in
    a row did not get ready is given up; if no place is left, the run ends with the reason.

    Parameters
    ----------
    workers
        How many workers there are, or ``auto``.
    cell_timeout
        The most seconds that a cell may take; None for no limit.
    retries
        How often a cell is tried again whose worker died or took too long.
    start_timeout
        The most seconds from the start of a worker until its model is loaded.
    """

    constraints = {
        "workers": AnyOf(OneOf("auto"), WholeNumber(1)),
        "cell_timeout": Optional(Number(above=0)),
        "retries": WholeNumber(0),
        "start_timeout": Number(above=0),
    }

    def __init__(
        self,
        workers: int | str = "auto",
        cell_timeout: float | None = None,
        retries: int = 2,
        start_timeout: float = 900.0,
    ) -> None:
        self.workers = workers
        self.cell_timeout = cell_timeout
        self.retries = retries
        self.start_timeout = start_timeout

    @abstractmethod
    def size(self, work: Work) -> int:
        """Return how many workers there may be now; asked again while work goes on."""

    @abstractmethod
    def threads(self, work: Work) -> int:
        """Return how many threads each worker computes with."""

    @abstractmethod
    def new_worker(self, seat: int, work: Work) -> PoolWorker:
        """Start a worker; a ``placed`` event follows."""

    @abstractmethod
    def wait(self, workers: Sequence[PoolWorker], seconds: float) -> list[Event]:
        """Return what has come from workers, as soon as there is something, and after `seconds` at the latest."""

    def start(self) -> None:
        """Begin without workers: a run starts those that it needs."""
        self._seats: list[_Seat] = []
        self._device = ""

    def stop(self) -> None:
        """End all workers."""
        self._end_workers()

    def run(
        self, work: Work, pieces: Sequence[Piece], watch: Callable[[Workers], None]
    ) -> Generator[Outcome, None, None]:
        """Do all pieces; see `Executor.run`."""
        if not pieces:
            return
        sent = packed(work, self.threads(work))
        with self:
            if work.device != self._device:
                self._end_workers()
                self._device = work.device
            for seat in self._seats:
                seat.failed_starts = 0
            handing_out = _HandingOut(self, self._seats, work, sent, pieces, watch)
            try:
                yield from handing_out.outcomes()
            finally:
                for seat in self._seats:
                    if seat.state == "busy":
                        self._empty(seat)

    def _end_workers(self) -> None:
        for seat in self._seats:
            self._empty(seat)
        self._seats = []

    @staticmethod
    def _empty(seat: _Seat) -> None:
        if seat.worker is not None:
            seat.worker.kill()
        seat.worker, seat.work, seat.piece, seat.state = None, None, None, "starting"


class _HandingOut:
    """One run of a pool: which pieces wait, which are under way, and how often each was tried."""

    def __init__(  # noqa: PLR0917 - all of it is what one run is made of
        self,
        pool: WorkerPool,
        seats: list[_Seat],
        work: Work,
        sent: SentWork,
        pieces: Sequence[Piece],
        watch: Callable[[Workers], None],
    ) -> None:
        self._pool, self._seats, self._work, self._sent, self._watch = pool, seats, work, sent, watch
        # From the end: the heaviest first, and of equals the first.
        self._waiting = sorted(pieces, key=lambda piece: (piece.weight, -piece.index))
        self._left = len(pieces)
        self._losses: dict[int, int] = {}
        self._lost = 0
        self._watched: Workers | None = None
        self._last_problem: Exception | str = "none was placed"
        self._ready_once = False
        self._failed_starts = 0
        self._last_alive = time.monotonic()

    def outcomes(self) -> Iterator[Outcome]:
        """Yield the outcome of each piece."""
        while self._left:
            self._fill_seats()
            self._hand_out()
            self._tell()
            events = self._pool.wait([seat.worker for seat in self._seats if seat.worker is not None], self._patience())
            for event in events:
                yield from self._take(event)
            yield from self._end_overdue()
        self._tell()

    def _fill_seats(self) -> None:
        """Start workers in empty places, as many as there are pieces for."""
        size = self._pool.size(self._work)
        while len(self._seats) < size:
            self._seats.append(_Seat(len(self._seats)))
        wanted = min(size, self._left)
        usable = [seat for seat in self._seats[:size] if seat.failed_starts < _MOST_FAILED_STARTS]
        held = sum(seat.worker is not None for seat in self._seats)
        if held:
            self._last_alive = time.monotonic()
        nobody_ready = not self._ready_once and self._failed_starts >= _MOST_FAILED_STARTS
        nobody_left = not held and (size > 0 and not usable)
        nobody_came = time.monotonic() - self._last_alive > self._pool.start_timeout
        if nobody_ready or nobody_left or nobody_came:
            raise self._none_started()
        for seat in usable:
            if held >= wanted:
                break
            if seat.worker is None:
                held += 1
                seat.worker, seat.state = self._pool.new_worker(seat.number, self._work), "starting"
                seat.deadline = time.monotonic() + self._pool.start_timeout

    def _none_started(self) -> ExecutorError:
        shown = _line(self._last_problem)
        return ExecutorError(f"no worker of the executor {self._pool.name} could be started; the last one: {shown}")

    def _hand_out(self) -> None:
        for seat in self._seats:
            if seat.worker is None or seat.state != "idle" or not self._waiting:
                continue
            if seat.work is not self._sent:
                self._prepare(seat, seat.worker)
                continue
            seat.piece = self._waiting.pop()
            seat.state, seat.deadline = "busy", None
            if self._pool.cell_timeout is not None:
                seat.deadline = time.monotonic() + self._pool.cell_timeout * seat.piece.cells
            seat.worker.do(seat.piece.payload)

    def _prepare(self, seat: _Seat, worker: PoolWorker) -> None:
        seat.work = self._sent
        seat.state, seat.deadline = "preparing", time.monotonic() + self._pool.start_timeout
        worker.prepare(self._sent)

    def _patience(self) -> float:
        deadlines = [seat.deadline for seat in self._seats if seat.worker is not None and seat.deadline is not None]
        left = min(deadlines, default=float("inf")) - time.monotonic()
        return min(_LONGEST_WAIT, max(0.0, left))

    def _take(self, event: Event) -> Iterator[Outcome]:
        seat = next((seat for seat in self._seats if seat.worker is event.worker), None)
        if seat is None:  # replaced in the meantime
            return
        if event.kind == "placed":
            self._prepare(seat, event.worker)
        elif event.kind == "ready":
            seat.state, seat.deadline, seat.failed_starts = "idle", None, 0
            self._ready_once = True
        elif event.kind == "failed":
            self._not_started(seat, event.value)
        elif event.kind == "done":
            yield from self._done(seat, event.value)
        else:
            yield from self._died(seat, event.reason, blameless=event.blameless)

    def _done(self, seat: _Seat, reply: Reply) -> Iterator[Outcome]:
        piece = seat.piece
        assert piece is not None  # noqa: S101 - it was busy with one
        seat.state, seat.piece, seat.deadline = "idle", None, None
        if reply.fault:
            self._end(seat)
            if self._again(piece, reply.fault):
                return
        for text in reply.warned:
            warnings.warn(text, TokimpWarning, stacklevel=2)
        self._left -= 1
        yield Outcome(piece, reply.result, reply.failure)

    def _died(self, seat: _Seat, reason: str, *, blameless: bool = False) -> Iterator[Outcome]:
        piece, state = seat.piece, seat.state
        self._end(seat)
        if blameless:
            if piece is not None:
                self._waiting.append(piece)
        elif state in {"starting", "preparing"}:
            self._not_started(seat, reason)
        elif piece is not None and not self._again(piece, reason):
            self._left -= 1
            tries = self._losses[piece.index]
            times = "once" if tries == 1 else f"{tries} times"
            error = ExecutorError(f"{piece.name} was tried {times}, and each time its worker was lost: {reason}")
            yield Outcome(piece, failure=Failure(error, type="WorkerLost"))

    def _end_overdue(self) -> Iterator[Outcome]:
        now = time.monotonic()
        for seat in self._seats:
            if seat.worker is None or seat.deadline is None or seat.deadline > now:
                continue
            if seat.state == "starting" and self._ready_once:
                # A cluster that is full: others work, and this one may wait for its place.
                seat.deadline = now + self._pool.start_timeout
                continue
            if seat.state == "busy" and seat.piece is not None:
                limit = (self._pool.cell_timeout or 0.0) * seat.piece.cells
                reason = f"it took longer than {limit:g} s (--cell-timeout), and the worker was ended"
            else:
                reason = f"it was not ready after {self._pool.start_timeout:g} s (start_timeout)"
            yield from self._died(seat, reason)

    def _again(self, piece: Piece, reason: str) -> bool:
        """Put a piece back if it may be tried again, before lighter ones."""
        self._losses[piece.index] = self._losses.get(piece.index, 0) + 1
        self._last_problem = reason
        if self._losses[piece.index] > self._pool.retries:
            return False
        self._waiting.append(piece)
        return True

    def _not_started(self, seat: _Seat, problem: Exception | str) -> None:
        if seat.worker is not None:
            self._end(seat)
        seat.failed_starts += 1
        self._failed_starts += 1
        self._last_problem = problem
        if seat.failed_starts == _MOST_FAILED_STARTS and self._ready_once:
            warnings.warn(
                f"place {seat.number} of the executor {self._pool.name} is given up, since {_MOST_FAILED_STARTS} "
                f"workers did not start there; the last one: {_line(problem)}",
                TokimpWarning,
                stacklevel=2,
            )

    def _end(self, seat: _Seat) -> None:
        WorkerPool._empty(seat)
        seat.deadline = None
        self._lost += 1

    def _tell(self) -> None:
        alive = sum(seat.worker is not None and seat.state in {"idle", "busy"} for seat in self._seats)
        workers = Workers(alive, self._lost)
        if workers != self._watched:
            self._watched = workers
            self._watch(workers)


def _line(problem: Exception | str) -> str:
    """Return a problem in one line."""
    text = f"{type(problem).__name__}: {problem}" if isinstance(problem, Exception) else problem
    return " ".join(text.split())
