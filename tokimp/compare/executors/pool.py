"""Executors with workers that can die: their parameters, their workers, and how a run of them begins and ends."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Generator, Sequence

from tokimp.compare.executors.handing_out import HandingOut
from tokimp.compare.executors.pool_worker import Event, PoolWorker
from tokimp.compare.executors.seat import Seat
from tokimp.compare.executors.worker_side import packed
from tokimp.contracts.constraints import AnyOf, Number, OneOf, Optional, WholeNumber
from tokimp.contracts.executor import Executor, Outcome, Piece, Work, Workers


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
        self._seats: list[Seat] = []
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
            handing_out = HandingOut(self, self._seats, work, sent, pieces, watch)
            try:
                yield from handing_out.outcomes()
            finally:
                for seat in self._seats:
                    if seat.state == "busy":
                        seat.end_worker()

    def _end_workers(self) -> None:
        for seat in self._seats:
            seat.end_worker()
        self._seats = []
