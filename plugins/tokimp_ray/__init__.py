"""The executor ``ray``: workers are actors of Ray Core, on a cluster or on this machine."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

from tokimp.compare.executors.pool import WorkerPool
from tokimp.compare.executors.pool_worker import Event, PoolWorker
from tokimp.compare.executors.shares import own_threads
from tokimp.compare.executors.worker_side import Reply, SentWork, WorkerSide
from tokimp.contracts.constraints import Optional, Text
from tokimp.contracts.executor import Work
from tokimp.errors import ExecutorError

__all__ = ["RayExecutor"]

_LONGEST_REASON = 400
_NODE_DIED = "actor died because its node has died"
# Ray keeps what is sent to actors there; models never are.
_OBJECT_STORE = 200 * 2**20


class RayExecutor(WorkerPool):
    """Runs workers as actors of Ray, each a process of its own, with a GPU where the cluster has any.

    Ray places the actors and tells of those that died; a new actor, and so a new process, takes the place of each. What
    an actor was at is done again (`tokimp.compare.executors.pool.WorkerPool`); the death of a node does not count
    among the tries of its cells, but a cell under which ten nodes died is given up. Nodes that join the cluster get
    workers while the run goes on, if `workers` is ``auto``. Models are loaded by each actor from the files of its node,
    and never pass through Ray's object store: a local path must be there on all nodes.

    Parameters
    ----------
    workers
        How many workers there are. ``auto``: one a GPU; on a cluster without GPUs, or with ``device="cpu"``, as many
        as the cores suffice for, each with as many threads as this process.
    cell_timeout
        The most seconds that a cell may take; None for no limit.
    retries
        How often a cell is tried again whose worker died or took too long.
    start_timeout
        The most seconds from the start of a worker until its model is loaded, and until a first worker finds a place.
    address
        The cluster, as Ray names it: ``auto``, ``HOST:PORT``, ``ray://HOST:PORT``. None for the one that
        ``RAY_ADDRESS`` names or this process is connected to, and else for a new one on this machine.
    """

    name = "ray"
    constraints = {**WorkerPool.constraints, "address": Optional(Text())}

    def __init__(
        self,
        workers: int | str = "auto",
        cell_timeout: float | None = None,
        retries: int = 2,
        start_timeout: float = 900.0,
        address: str | None = None,
    ) -> None:
        super().__init__(workers, cell_timeout, retries, start_timeout)
        self.address = address

    def start(self) -> None:
        """Connect to the cluster, or start one here."""
        super().start()
        # Ray reads it when it is imported: nothing is sent anywhere.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            import ray  # noqa: PLC0415 - an extra, and slow to import
        except ImportError as error:
            raise ExecutorError("the executor ray needs Ray: pip install 'tokimp[ray]'") from error
        self._ray: Any = ray
        self._started = not ray.is_initialized()
        if not self._started:
            return
        address = self.address or os.environ.get("RAY_ADDRESS") or "local"
        own: dict[str, Any] = {"include_dashboard": False, "object_store_memory": _OBJECT_STORE}
        if self.workers != "auto":
            # Ray counts cores, and is to place as many workers as were asked for.
            own["num_cpus"] = int(self.workers) * own_threads()
        try:
            ray.init(
                address=address,
                log_to_driver=False,
                logging_level="ERROR",
                **(own if address == "local" else {}),
            )
        # Its clients raise errors of many kinds for a cluster that is not there.
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:_LONGEST_REASON]
            raise ExecutorError(f"the Ray cluster {address!r} cannot be used: {reason}") from error

    def stop(self) -> None:
        """End all workers, and the cluster if it was started here."""
        super().stop()
        if self._started:
            self._ray.shutdown()
            self._started = False

    def _gpus(self, work: Work) -> int:
        """Return the number of GPUs in the cluster that workers get one each of."""
        return int(self._ray.cluster_resources().get("GPU", 0)) if work.device in {"auto", "cuda"} else 0

    def size(self, work: Work) -> int:
        """Return the number asked for, or what the nodes that the cluster has now suffice for."""
        if self.workers != "auto":
            return int(self.workers)
        return self._gpus(work) or int(self._ray.cluster_resources().get("CPU", 0)) // self.threads(work)

    def threads(self, work: Work) -> int:
        """Return the number of threads of this process: another one could change the last bits."""
        return own_threads()

    def new_worker(self, seat: int, work: Work) -> PoolWorker:
        """Ask Ray for an actor, which it places as soon as there is room."""
        on_gpu, threads = bool(self._gpus(work)), self.threads(work)
        remote = self._ray.remote(
            num_cpus=threads if not on_gpu else 1,
            num_gpus=1 if on_gpu else 0,
            # The pool replaces actors and sends pieces again: it knows which piece was at fault, and how often.
            max_restarts=0,
            max_task_retries=0,
            runtime_env={"env_vars": {"OMP_NUM_THREADS": str(threads)}},
        )
        return _ActorWorker(self._ray, f"worker {seat}", remote(Actor).remote())

    def wait(self, workers: Sequence[PoolWorker], seconds: float) -> list[Event]:
        """Return what has come from actors; all that is there, so that a busy driver asks Ray less often."""
        of_answer = {worker.answer: worker for worker in workers if isinstance(worker, _ActorWorker) and worker.answer}
        if not of_answer:
            time.sleep(min(seconds, 0.1))
            return []
        answers = list(of_answer)
        ready, others = self._ray.wait(answers, num_returns=1, timeout=seconds)
        if ready and others:
            more, _ = self._ray.wait(others, num_returns=len(others), timeout=0)
            ready = [*ready, *more]
        return [of_answer[answer].read() for answer in ready]


class Actor:
    """What Ray runs: one worker."""

    def __init__(self) -> None:
        self._side = WorkerSide()

    def here(self) -> bool:
        """Say that the actor was placed."""
        return True

    def prepare(self, sent: SentWork) -> Exception | None:
        """Make work ready; return what that raised."""
        try:
            self._side.prepare(sent)
        except Exception as error:  # noqa: BLE001 - it is sent to whoever asked
            return error
        return None

    def do(self, payload: Any) -> Reply:
        """Do a piece."""
        return self._side.do(payload)


class _ActorWorker(PoolWorker):
    """An actor as the pool sees it.

    Attributes
    ----------
    answer
        Ray's reference to what it is asked for; None if it is asked for nothing.
    """

    def __init__(self, ray: Any, name: str, actor: Any) -> None:
        self.name, self._ray, self._actor = name, ray, actor
        self._what = "placed"
        self.answer: Any = actor.here.remote()

    def prepare(self, sent: SentWork) -> None:
        """Send the work."""
        self._what, self.answer = "prepared", self._actor.prepare.remote(sent)

    def do(self, payload: Any) -> None:
        """Send a piece."""
        self._what, self.answer = "done", self._actor.do.remote(payload)

    def kill(self) -> None:
        """End the actor at once."""
        self.answer = None
        # Its cluster may have been shut down before: then it has ended, and asking would start a new one.
        if self._ray.is_initialized():
            self._ray.kill(self._actor, no_restart=True)

    def read(self) -> Event:
        """Return what the actor has answered, or why it died."""
        answer, self.answer = self.answer, None
        try:
            value = self._ray.get(answer)
        except self._ray.exceptions.RayTaskError as error:
            # The code around a piece raises nothing; what it returns may be what Ray cannot send.
            return Event(self, "died", reason=f"{self.name}: {_in_a_line(error)}")
        except self._ray.exceptions.RayError as error:
            return Event(self, "died", reason=f"{self.name}: {_in_a_line(error)}", blameless=died_with_node(error))
        if self._what == "placed":
            return Event(self, "placed")
        if self._what == "prepared":
            return Event(self, "ready") if value is None else Event(self, "failed", value)
        return Event(self, "done", value)


def died_with_node(error: Exception) -> bool:
    """Whether an actor died because its node did. Ray says so in words only, unless the node was preempted."""
    from ray.exceptions import NodeDiedError, RayActorError  # noqa: PLC0415 - an extra

    if isinstance(error, RayActorError):
        return error.preempted or _NODE_DIED in str(error)
    return isinstance(error, NodeDiedError)


def _in_a_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:_LONGEST_REASON]
