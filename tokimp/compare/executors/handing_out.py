"""One run of a pool of workers: who does what, what is tried again, and when a place is given up."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from tokimp.compare.executors.pool_worker import Event, PoolWorker
from tokimp.compare.executors.seat import Seat
from tokimp.compare.executors.worker_side import Reply, SentWork
from tokimp.contracts.executor import Failure, Outcome, Piece, Work, Workers
from tokimp.errors import ExecutorError, TokimpWarning

if TYPE_CHECKING:  # the pool imports this module
    from tokimp.compare.executors.pool import WorkerPool

_LONGEST_WAIT = 1.0  # seconds; after it, limits of time and the number of workers are looked at again
_MOST_FAILED_STARTS = 3
_MOST_DEAD_NODES = 10  # a piece that uses up a node's memory ends node after node


class HandingOut:
    """One run of a pool: which pieces wait, which are under way, and how often each was tried."""

    def __init__(  # noqa: PLR0917 - all of it is what one run is made of
        self,
        pool: WorkerPool,
        seats: list[Seat],
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
        self._dead_nodes: dict[int, int] = {}
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
            self._seats.append(Seat(len(self._seats)))
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

    def _prepare(self, seat: Seat, worker: PoolWorker) -> None:
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

    def _done(self, seat: Seat, reply: Reply) -> Iterator[Outcome]:
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
        yield Outcome(piece, reply.result, reply.failure, reply.threads)

    def _died(self, seat: Seat, reason: str, *, blameless: bool = False) -> Iterator[Outcome]:
        piece, state = seat.piece, seat.state
        self._end(seat)
        if blameless:
            if piece is not None:
                yield from self._after_its_node(piece, reason)
        elif state in {"starting", "preparing"}:
            self._not_started(seat, reason)
        elif piece is not None and not self._again(piece, reason):
            self._left -= 1
            tries = self._losses[piece.index]
            times = "once" if tries == 1 else f"{tries} times"
            error = ExecutorError(f"{piece.name} was tried {times}, and each time its worker was lost: {reason}")
            yield Outcome(piece, failure=Failure(error, type="WorkerLost"))

    def _after_its_node(self, piece: Piece, reason: str) -> Iterator[Outcome]:
        """Put a piece back whose node has died, unless so many have died with it that it is likely to be the cause."""
        self._dead_nodes[piece.index] = nodes = self._dead_nodes.get(piece.index, 0) + 1
        if nodes < _MOST_DEAD_NODES:
            self._waiting.append(piece)
            return
        self._left -= 1
        problem = f"{piece.name} is given up, since {nodes} nodes died while they were at it; the last: {reason}"
        error = ExecutorError(problem)
        yield Outcome(piece, failure=Failure(error, type="WorkerLost"))

    def _overdue(self) -> list[Seat]:
        now = time.monotonic()
        return [
            seat
            for seat in self._seats
            if seat.worker is not None and seat.deadline is not None and seat.deadline <= now
        ]

    def _end_overdue(self) -> Iterator[Outcome]:
        # Whoever takes outcomes may have taken long over the last ones, and workers may have got ready meanwhile: only
        # who has nothing to say when asked last is ended. Each outcome that is taken may again take long.
        while overdue := self._overdue():
            events = self._pool.wait([seat.worker for seat in overdue if seat.worker is not None], 0.0)
            if not events:
                break
            for event in events:
                yield from self._take(event)
        for seat in overdue:
            if seat.state == "starting" and self._ready_once:
                # A cluster that is full: others work, and this one may wait for its place.
                seat.deadline = time.monotonic() + self._pool.start_timeout
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

    def _not_started(self, seat: Seat, problem: Exception | str) -> None:
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

    def _end(self, seat: Seat) -> None:
        seat.end_worker()
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
