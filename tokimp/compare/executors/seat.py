"""The place of a worker in a pool: who has it now, and what that worker is at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tokimp.compare.executors.pool_worker import PoolWorker
from tokimp.compare.executors.worker_side import SentWork
from tokimp.contracts.executor import Piece


@dataclass(slots=True)
class Seat:
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

    def end_worker(self) -> None:
        """End whoever has it, at once."""
        if self.worker is not None:
            self.worker.kill()
        self.worker, self.work, self.piece, self.state, self.deadline = None, None, None, "starting", None
