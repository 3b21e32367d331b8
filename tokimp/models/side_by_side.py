"""Several tasks beside each other, one at a time: the packs that they wait for are read as one.

Each task (an estimator on a chain) runs in a thread of its own, but only one thread works at any moment. A task works
until it needs a pack read. When all tasks wait, their packs are joined, pass through the model in one call, and every
task gets its own numbers back and works on. So what is joined follows from the tasks alone, never from their speed.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import torch

from tokimp.models.batching import out_of_memory, release_memory
from tokimp.models.decoder import Decoder
from tokimp.models.deletion.key_value_pool import KeyValuePool
from tokimp.models.deletion.stored_rows import LogprobArray
from tokimp.models.packs.pack import Pack

T = TypeVar("T")


class _Abandoned(BaseException):
    """Raised inside tasks that still wait when another one, or the person at the keyboard, ended the whole."""


@dataclass(frozen=True)
class _RandomStates:
    """The states of the global generators, which tasks draw from and must not share."""

    python: Any
    numpy: Any
    of_torch: torch.Tensor
    cuda: list[torch.Tensor]

    @classmethod
    def current(cls) -> _RandomStates:
        """Return the states as they are now."""
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        numpy = np.random.get_state()  # noqa: NPY002 - the global generator is what an estimator's code may use
        return cls(random.getstate(), numpy, torch.get_rng_state(), cuda)

    def restore(self) -> None:
        """Put the generators back into these states."""
        random.setstate(self.python)
        np.random.set_state(self.numpy)  # noqa: NPY002 - as above
        torch.set_rng_state(self.of_torch)
        if self.cuda:
            torch.cuda.set_rng_state_all(self.cuda)


class Task(Generic[T]):
    """One task: a function of a decoder, run in a thread of its own when it is its turn.

    Attributes
    ----------
    result, error
        What it returned, or what it raised.
    seconds
        Time it worked, and its share, by positions, of the time of joint calls.
    """

    def __init__(self, decoder: Decoder, pool: KeyValuePool, work: Callable[[Decoder, Callable[[], float]], T]) -> None:
        self.result: T | None = None
        self.error: BaseException | None = None
        self.seconds, self._since = 0.0, 0.0
        self.pack: Pack | None = None
        self.done = False
        self._reply: LogprobArray | BaseException | None = None
        self._turn, self._rest = threading.Semaphore(0), threading.Semaphore(0)
        self._states: _RandomStates | None = None
        own = decoder.beside(self._wait_for, pool)
        self._thread = threading.Thread(target=self._run, args=(work, own), daemon=True)
        self._thread.start()

    def work_on(self) -> None:
        """Let the task work until it waits for a pack or is done."""
        mine, self._since = _RandomStates.current(), time.perf_counter()
        if self._states is not None:
            self._states.restore()
        self._turn.release()
        self._rest.acquire()
        self.seconds += time.perf_counter() - self._since
        self._states = _RandomStates.current()
        mine.restore()

    def answer(self, reply: LogprobArray | BaseException, seconds: float) -> None:
        """Give the task the numbers of its pack, or the error that reading it raised."""
        self._reply, self.pack = reply, None
        self.seconds += seconds

    def clock(self) -> float:
        """Return the seconds that the task has taken so far; for the task itself to ask."""
        return self.seconds + time.perf_counter() - self._since

    def abandon(self) -> None:
        """End a task that waits."""
        if not self.done:
            self._reply = _Abandoned()
            self._turn.release()
            self._thread.join()

    def _run(self, work: Callable[[Decoder, Callable[[], float]], T], decoder: Decoder) -> None:
        self._turn.acquire()
        try:
            if not isinstance(self._reply, _Abandoned):
                self.result = work(decoder, self.clock)
        except BaseException as error:  # noqa: BLE001 - whoever asked for the result raises it
            self.error = error
        self.done = True
        self._rest.release()

    def _wait_for(self, pack: Pack) -> LogprobArray:
        self.pack = pack
        self._rest.release()
        self._turn.acquire()
        if isinstance(self._reply, BaseException):
            raise self._reply
        assert self._reply is not None  # noqa: S101 - a task is woken with an answer
        return self._reply


def run_side_by_side(
    decoder: Decoder, works: Sequence[Callable[[Decoder, Callable[[], float]], T]]
) -> list[T | BaseException]:
    """Run several pieces of work beside each other; return what each returned or raised, in their order.

    Parameters
    ----------
    decoder
        A decoder that reads packs.
    works
        Each is called with a decoder of its own, which counts what it reads for it, and a clock of its own.
    """
    pool = KeyValuePool()
    tasks = [Task(decoder, pool, work) for work in works]
    try:
        working = list(tasks)
        while working:
            for task in working:
                task.work_on()
            working = [task for task in working if not task.done]
            _answer(decoder, pool, _start_reading(decoder, pool, working))
    finally:
        for task in tasks:
            task.abandon()
    return [task.error if task.error is not None else task.result for task in tasks]  # type: ignore[misc] # a result


@dataclass
class _Reading:
    """Packs of some tasks that are being read as one.

    Attributes
    ----------
    tasks
        Who waits.
    values
        What will hold the numbers, [scored, choice]; ``None`` where memory did not suffice, or reading raised.
    problem
        What was raised.
    seconds
        How long it took to begin.
    """

    tasks: list[Task[Any]]
    values: torch.Tensor | None = None
    problem: BaseException | None = None
    seconds: float = 0.0


def _start_reading(decoder: Decoder, pool: KeyValuePool, tasks: Sequence[Task[Any]]) -> list[_Reading]:
    """Begin to read the packs that tasks wait for, as many in one call as the budget of positions allows."""
    groups: list[list[Task[Any]]] = []
    positions = 0
    for task in tasks:
        assert task.pack is not None  # noqa: S101 - a task that is not done waits for a pack
        own = len(task.pack.ids)
        if not groups or positions + own > decoder.budget.positions:
            groups.append([])
            positions = 0
        groups[-1].append(task)
        positions += own
    return [_begin(decoder, pool, group) for group in groups]


def _begin(decoder: Decoder, pool: KeyValuePool, tasks: list[Task[Any]]) -> _Reading:
    reading, started = _Reading(tasks), time.perf_counter()
    try:
        joined = Pack.joined([task.pack for task in tasks if task.pack is not None])
        with torch.no_grad():
            reading.values = decoder.start_pack(joined, pool)
    except Exception as problem:  # noqa: BLE001 - each task raises it where it asked
        reading.problem = problem
    reading.seconds = time.perf_counter() - started
    return reading


def _answer(decoder: Decoder, pool: KeyValuePool, readings: Sequence[_Reading]) -> None:
    """Wait for packs to be read, and give each task its numbers; halve what did not fit in memory."""
    for reading in readings:
        started = time.perf_counter()
        values: LogprobArray | None = None
        if reading.values is not None:
            try:
                values = reading.values.cpu().numpy()
            except Exception as problem:  # noqa: BLE001 - a GPU tells of what failed when it is asked for the result
                reading.problem = problem
        if values is None and reading.problem is not None:
            if len(reading.tasks) > 1 and out_of_memory(reading.problem):
                reading.problem = None
                release_memory()
                half = len(reading.tasks) // 2
                for part in (reading.tasks[:half], reading.tasks[half:]):
                    _answer(decoder, pool, [_begin(decoder, pool, part)])
                continue
            for task in reading.tasks:
                task.answer(reading.problem, 0.0)
            continue
        assert values is not None  # noqa: S101 - read, or answered above
        packs = [task.pack for task in reading.tasks if task.pack is not None]
        seconds, begin = reading.seconds + time.perf_counter() - started, 0
        read_in_all = sum(len(pack.ids) for pack in packs)
        for task, pack in zip(reading.tasks, packs, strict=True):
            end = begin + len(pack.scored)
            task.answer(values[begin:end, : pack.tokens.shape[1]], seconds * len(pack.ids) / read_in_all)
            begin = end
