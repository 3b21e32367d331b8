"""The program of a worker of the executor ``processes``: it does what comes over its connection until this closes."""

from __future__ import annotations

import faulthandler
import os
import pickle
import queue
import signal
import threading
from multiprocessing.connection import Connection
from typing import Any

from tokimp.compare.executors.worker_side import Reply, WorkerSide, sendable
from tokimp.contracts.executor import Failure
from tokimp.errors import ExecutorError


def main(descriptor: int) -> None:
    """Do what the process that started this one asks for.

    Parameters
    ----------
    descriptor
        The file descriptor of this process's end of the connection.
    """
    # The process that started this one is the one that Ctrl-C ends, and it ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable()
    connection: Connection[Any, Any] = Connection(descriptor)
    asked: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    # A thread of its own listens, so that a worker in the middle of a piece ends too when the driver was killed.
    threading.Thread(target=_listen, args=(connection, asked), daemon=True).start()
    side = WorkerSide()
    connection.send_bytes(pickle.dumps(("placed", None)))
    while True:
        connection.send_bytes(_answer(side, asked.get()))


def _answer(side: WorkerSide, message: bytes) -> bytes:
    """Do what a message asks for, and return what is sent back."""
    try:
        what, content = pickle.loads(message)  # noqa: S301 - from the process that started this one
    # What cannot be made again here (of a class in a script, say) raises errors of many kinds.
    except Exception as error:  # noqa: BLE001 - it is sent to whoever asked
        problem = ExecutorError(f"what was asked cannot be read in another process ({type(error).__name__}: {error})")
        return pickle.dumps(("done", Reply(failure=Failure(problem))))
    if what == "do":
        return _packed_reply(side.do(content))
    try:
        side.prepare(content)
    except Exception as error:  # noqa: BLE001 - it is sent to whoever asked
        return pickle.dumps(("failed", sendable(error)))
    return pickle.dumps(("ready", None))


def _packed_reply(reply: Reply) -> bytes:
    try:
        return pickle.dumps(("done", reply))
    except Exception as error:  # noqa: BLE001 - results of other packages' analyses may hold anything
        problem = ExecutorError(f"the result cannot be sent to another process ({type(error).__name__}: {error})")
        return pickle.dumps(("done", Reply(failure=Failure(problem), warned=reply.warned)))


def _listen(connection: Connection[Any, Any], asked: queue.SimpleQueue[bytes]) -> None:
    try:
        while True:
            asked.put(connection.recv_bytes())
    except (EOFError, OSError):
        os._exit(0)
