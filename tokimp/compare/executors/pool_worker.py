"""A worker as the process that hands out pieces sees it: what it is told, and what comes from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from tokimp.compare.executors.worker_side import SentWork


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
