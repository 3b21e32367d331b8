"""The executor ``processes``: workers on this machine, each a process with a model, and with a GPU if there are any."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from typing import IO, Any

import torch

from tokimp.compare.executors.pool import WorkerPool
from tokimp.compare.executors.pool_worker import Event, PoolWorker
from tokimp.compare.executors.shares import gpus_for, own_threads, usable_cores
from tokimp.compare.executors.worker_side import Reply, SentWork
from tokimp.contracts.executor import Failure, Work
from tokimp.errors import ExecutorError, TokimpWarning

# The path of this process comes first, so that the worker finds the same modules.
_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from tokimp.compare.executors.worker_process import main; main(int(sys.argv[2]))"
)
_LONGEST_TAIL = 600


class ProcessesExecutor(WorkerPool):
    """Runs workers on this machine, each a process of its own that loads the model once.

    With GPUs, each worker gets one of its own (``CUDA_VISIBLE_DEVICES``), and ``auto`` means one worker a GPU. On a
    CPU, each worker computes with as many threads as this process would, since the number of threads can change the
    last bits of a result; ``auto`` means as many workers as the cores suffice for. With ``OMP_NUM_THREADS=1`` that is
    one worker a core.

    Its parameters are those of `WorkerPool`.
    """

    name = "processes"

    def size(self, work: Work) -> int:
        """Return the number asked for; by default one worker a GPU, or as many as the cores suffice for."""
        if self.workers != "auto":
            return int(self.workers)
        gpus = len(gpus_for(work.device))
        if gpus:
            return gpus
        # Elsewhere than on a CPU: on one certain GPU, where workers would be in each other's way.
        on_a_cpu = work.device == "cpu" or (work.device == "auto" and not torch.backends.mps.is_available())
        return max(1, usable_cores() // self.threads(work)) if on_a_cpu else 1

    def threads(self, work: Work) -> int:
        """Return the number of threads of this process: another one could change the last bits."""
        return own_threads()

    def new_worker(self, seat: int, work: Work) -> PoolWorker:
        """Start a process, which shares a GPU with others only if there are more workers than GPUs."""
        gpus = gpus_for(work.device)
        needed = self.size(work) * self.threads(work)
        if seat == 0 and not gpus and self.threads(work) > 1 and needed > usable_cores():
            warnings.warn(
                f"{self.size(work)} workers of {self.threads(work)} threads each share {usable_cores()} cores; with "
                "OMP_NUM_THREADS=1 set, each has one (the number of threads can change last bits, so it is not changed "
                "silently)",
                TokimpWarning,
                stacklevel=2,
            )
        return _Process(seat, gpu=gpus[seat % len(gpus)] if gpus else None, threads=self.threads(work))

    def wait(self, workers: Sequence[PoolWorker], seconds: float) -> list[Event]:
        """Return what has come from workers; the end of a connection is the end of its worker."""
        of_connection = {worker.connection: worker for worker in workers if isinstance(worker, _Process)}
        if not of_connection:
            time.sleep(min(seconds, 0.1))
            return []
        return [of_connection[ready].read() for ready in wait(list(of_connection), seconds)]  # type: ignore[index] # only connections are waited for


class _Process(PoolWorker):
    """A process that runs `tokimp.compare.executors.worker_process`."""

    def __init__(self, seat: int, *, gpu: str | None, threads: int) -> None:
        self.name = f"worker {seat}"
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        if gpu is not None:
            environment["CUDA_VISIBLE_DEVICES"] = gpu
        with contextlib.ExitStack() as opened:
            try:
                ours, theirs = map(opened.enter_context, socket.socketpair())
                # What it writes there says why it died.
                self._errors: IO[bytes] = opened.enter_context(tempfile.TemporaryFile())
                self._process = subprocess.Popen(  # noqa: S603 - this Python, and a program of ours
                    [sys.executable, "-c", _PROGRAM, json.dumps(sys.path), str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stderr=self._errors,
                    env=environment,
                    pass_fds=[theirs.fileno()],
                    # A terminal sends Ctrl-C to a whole group of processes. The driver alone is to get it.
                    process_group=0,
                )
            except OSError as error:
                raise ExecutorError(
                    f"{self.name} cannot be started ({error}); use fewer workers (--workers), or allow more processes "
                    "and open files (ulimit -u, -n)"
                ) from error
            theirs.close()
            # Closed with the worker.
            opened.pop_all()
        self.connection: Connection[Any, Any] = Connection(ours.detach())

    @property
    def id(self) -> int:
        """The id of the process."""
        return self._process.pid

    def prepare(self, sent: SentWork) -> None:
        """Send the work."""
        self._send(("prepare", sent))

    def do(self, payload: Any) -> None:
        """Send a piece."""
        self._send(("do", payload))

    def kill(self) -> None:
        """End the process at once."""
        self.connection.close()
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
        self._errors.close()

    def read(self) -> Event:
        """Return what the process has sent, or why it ended."""
        try:
            message = self.connection.recv_bytes()
        except (EOFError, OSError):
            return Event(self, "died", reason=self._end())
        try:
            kind, value = pickle.loads(message)  # noqa: S301 - from a process that we started
        # What cannot be made again here (of a class in a script, say) raises errors of many kinds.
        except Exception as error:  # noqa: BLE001 - it is the failure of the piece
            problem = ExecutorError(f"what came back cannot be read in this process ({type(error).__name__}: {error})")
            return Event(self, "done", Reply(failure=Failure(problem)))
        return Event(self, kind, value)

    def _send(self, message: tuple[str, Any]) -> None:
        # A worker that has just died is found out by the end of its connection.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send_bytes(pickle.dumps(message))

    def _end(self) -> str:
        """Return how the process ended, and the last that it said."""
        try:
            status = self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            return f"{self.name} closed its connection"
        if status < 0:
            names = {number.value: number.name for number in signal.Signals}
            how = f"was killed by {names.get(-status, f'signal {-status}')}"
            if -status == signal.SIGKILL:
                how += " (as the system does when memory runs out)"
        else:
            how = f"ended with status {status}"
        self._errors.seek(0)
        tail = " ".join(self._errors.read().decode(errors="replace").split())[-_LONGEST_TAIL:]
        return f"{self.name} {how}" + (f"; its last words: {tail}" if tail else "")
