"""One job of an array: it makes work ready, does its pieces, and keeps what it has when it is queued again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tokimp.compare.executors.worker_side import Reply, SentWork, WorkerSide


@dataclass(frozen=True, slots=True)
class NotReady:
    """Says that a job could not make its work ready, so that it tried none of its pieces.

    Attributes
    ----------
    problem
        What was raised.
    """

    problem: Exception


class Job:
    """Does pieces one after the other; submitit calls it in a process of its own.

    Parameters
    ----------
    sent
        The work.
    payloads
        What is to be done, by the pieces' indices.
    """

    def __init__(self, sent: SentWork, payloads: Mapping[int, Any]) -> None:
        self._sent, self._payloads = sent, payloads
        self._replies: dict[int, Reply] = {}

    def __call__(self) -> dict[int, Reply] | NotReady:
        """Return the replies, by the pieces' indices; fewer if this process cannot go on."""
        side = WorkerSide()
        try:
            side.prepare(self._sent)
        except Exception as error:  # noqa: BLE001 - it is sent to whoever asked
            return NotReady(error)
        for index, payload in self._payloads.items():
            if index not in self._replies:
                self._replies[index] = side.do(payload)
                if self._replies[index].fault:
                    break
        return self._replies

    def checkpoint(self) -> Any:
        """Return what is queued again when the batch system takes this job back: it, with what it has so far."""
        from submitit.helpers import DelayedSubmission  # noqa: PLC0415 - an extra

        return DelayedSubmission(self)
