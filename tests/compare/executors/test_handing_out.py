"""Handing out pieces: what becomes of those whose node dies, and of workers that answer while nobody listens."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from tests.compare.executors.acting_work import Acts
from tokimp.compare.executors.pool import WorkerPool
from tokimp.compare.executors.pool_worker import Event, PoolWorker
from tokimp.compare.executors.worker_side import Reply, SentWork
from tokimp.contracts.executor import Outcome, Piece, Work


class Obedient(PoolWorker):
    """Has an answer ready at once; where the piece says so, that its node has died."""

    def __init__(self, name: str, events: deque[Event]) -> None:
        self.name, self._events = name, events
        self._events.append(Event(self, "placed"))

    def prepare(self, sent: SentWork) -> None:
        """Be ready."""
        self._events.append(Event(self, "ready"))

    def do(self, payload: Any) -> None:
        """Answer, or die with the node."""
        died = Event(self, "died", reason="its node has died", blameless=True)
        self._events.append(died if payload == "node dies" else Event(self, "done", Reply(payload)))

    def kill(self) -> None:
        """Take nothing back: what was said comes all the same."""


class Pool(WorkerPool):
    """Workers of this process."""

    name = "pool"

    def __init__(self, workers: int = 2, cell_timeout: float | None = None, retries: int = 0) -> None:
        super().__init__(workers, cell_timeout, retries)
        self.events: deque[Event] = deque()
        self.n_made = 0

    def size(self, work: Work) -> int:
        """Return the number asked for."""
        return int(self.workers)

    def threads(self, work: Work) -> int:
        """Return one."""
        return 1

    def new_worker(self, seat: int, work: Work) -> PoolWorker:
        """Make one."""
        self.n_made += 1
        return Obedient(f"worker {seat}", self.events)

    def wait(self, workers: Sequence[PoolWorker], seconds: float) -> list[Event]:
        """Return the first answer; others are late."""
        return [self.events.popleft()] if self.events else []


def run(pool: Pool, *payloads: str, pause: float = 0.0) -> list[Outcome]:
    """Return the outcomes of pieces, in the order in which they come; a pause follows each."""
    outcomes = []
    pieces = [Piece(number, f"piece {number}", payload) for number, payload in enumerate(payloads)]
    for outcome in pool.run(Acts(None), pieces, lambda _: None):  # type: ignore[arg-type] # its folder is not used
        outcomes.append(outcome)
        time.sleep(pause)
    return outcomes


def test_a_piece_with_which_node_after_node_dies_is_given_up() -> None:
    """It is likely to be the cause: the others are done, and the run comes to its end."""
    pool = Pool(workers=1)
    outcomes = {outcome.piece.index: outcome for outcome in run(pool, "a", "node dies")}
    assert outcomes[0].result == "a"
    failure = outcomes[1].failure
    assert failure is not None
    assert str(failure.error).startswith("piece 1 is given up, since 10 nodes died while they were at it")
    assert failure.type == "WorkerLost"


def test_who_answered_in_time_is_not_ended_because_nobody_listened() -> None:
    """Whoever takes outcomes may take longer over one than a cell may take."""
    pool = Pool(workers=2, cell_timeout=0.05)
    outcomes = run(pool, "a", "b", "c", pause=0.1)
    assert [outcome.result for outcome in outcomes] == ["a", "b", "c"]
    assert [outcome.failure for outcome in outcomes] == [None, None, None]
    assert pool.n_made == 2


def test_who_answered_while_another_answer_was_taken_is_not_ended() -> None:
    """While the outcome of one worker whose time is over is taken, the time of the others goes on, and counts not."""
    pool = Pool(workers=4, cell_timeout=0.05)
    outcomes = run(pool, "a", "b", "c", "d", pause=0.1)
    assert [outcome.failure for outcome in outcomes] == [None] * 4
    assert pool.n_made == 4
