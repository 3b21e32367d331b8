"""The side of a worker: work is made ready once, pieces are done, and what happened is sent back as data.

Nothing heavy is imported here, so that a worker is quickly there; the work brings what it needs.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import pickle
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any

import cloudpickle

from tokimp.contracts.executor import Do, Failure, Work
from tokimp.errors import ExecutorError, TokimpWarning


@dataclass(frozen=True, slots=True)
class SentWork:
    """Work as it goes to workers.

    Attributes
    ----------
    content
        The pickled `Work`.
    files
        Python files that define classes in it, named as ``my.py:Class``.
    folder
        The folder that relative paths start from.
    threads
        How many threads of the CPU a worker uses.
    """

    content: bytes
    files: tuple[str, ...]
    folder: str
    threads: int


@dataclass(frozen=True, slots=True)
class Reply:
    """What a worker sends back for a piece.

    Attributes
    ----------
    result
        What was computed.
    failure
        What was raised instead.
    fault
        Why the worker cannot go on, and the piece is better done by another one; empty if it can.
    warned
        tokimp's own warnings on the way.
    threads
        The number of threads of torch that it was done with; ``None`` where torch is not in use.
    """

    result: Any = None
    failure: Failure | None = None
    fault: str = ""
    warned: list[str] = field(default_factory=list)
    threads: int | None = None


class _Pickler(cloudpickle.CloudPickler):  # type: ignore[misc] # cloudpickle has no types
    """Pickles classes of scripts and notebooks by what they are, and modules by their names, tokimp's own too."""

    def reducer_override(self, obj: Any) -> Any:
        """Return how an object is made again, or leave it to the base class."""
        # tokimp loads its names when they are used, so its module is of a class of its own, which cloudpickle refuses.
        if isinstance(obj, ModuleType) and obj.__name__ != "__main__" and sys.modules.get(obj.__name__) is obj:
            return importlib.import_module, (obj.__name__,)
        return super().reducer_override(obj)


def packed(work: Work, threads: int) -> SentWork:
    """Return work as it goes to workers.

    Classes that were defined in a script or notebook go along; those of modules are imported by the worker.

    Raises
    ------
    ExecutorError
        If something in it cannot be sent to another process; the message says what.
    """
    try:
        with io.BytesIO() as stream:
            _Pickler(stream).dump(work)
            content = stream.getvalue()
    # Objects raise errors of many kinds when they cannot be pickled.
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ExecutorError(
            f"the work cannot be sent to another process ({reason}); take what holds it out of the estimators, the "
            "objective or the analysis, or use the executor local"
        ) from error
    from tokimp.contracts.discovery import plugin_files  # noqa: PLC0415 - heavy, and needed by the driver alone

    return SentWork(content, plugin_files(), str(os.getcwd()), threads)  # noqa: PTH109 - a text is sent


class WorkerSide:
    """Does pieces where a worker is; the same in a process of this machine and on a cluster."""

    def __init__(self) -> None:
        self._work: Work | None = None
        self._do: Do | None = None

    def prepare(self, sent: SentWork) -> None:
        """Make work ready; raises whatever this raises, in a form that can be sent."""
        # What was loaded before is let go of first: two models at once may not fit.
        self._work = self._do = None
        with contextlib.suppress(OSError):
            os.chdir(sent.folder)
        try:
            _import_files(sent.files)
            work: Work = pickle.loads(sent.content)  # noqa: S301 - sent by the process that started this worker
            if "torch" in sys.modules:
                sys.modules["torch"].set_num_threads(sent.threads)
            self._do, self._work = work.prepare(), work
        except Exception as error:  # noqa: BLE001 - it is sent to whoever asked
            raise sendable(error) from None

    def do(self, payload: Any) -> Reply:
        """Do one piece."""
        assert self._work is not None  # noqa: S101 - prepared first
        assert self._do is not None  # noqa: S101 - likewise
        with _warnings_of_tokimp() as warned:
            try:
                result = self._do(payload)
            except Exception as error:  # noqa: BLE001 - it is sent to whoever asked
                reply = Reply(failure=_sendable_failure(Failure.of(error)), fault=worker_fault(error))
            else:
                # What is at fault is found in the errors as they were raised.
                fault = self._work.fault(result)
                reply = Reply(_sendable_result(result), fault=fault)
        return replace(reply, warned=warned, threads=_threads())


def _sendable_failure(failure: Failure) -> Failure:
    return replace(failure, error=sendable(failure.error))


def _sendable_result(result: Any) -> Any:
    """Return a result as it can be sent: the failures among its parts too, such as those of one chain of a group."""
    if not isinstance(result, list):
        return result
    return [_sendable_failure(part) if isinstance(part, Failure) else part for part in result]


def _threads() -> int | None:
    return sys.modules["torch"].get_num_threads() if "torch" in sys.modules else None


def _import_files(files: tuple[str, ...]) -> None:
    """Import the files that define classes of the work, under the names that they have in the driver."""
    if files:
        from tokimp.contracts.discovery import import_plugin_file  # noqa: PLC0415 - heavy, and seldom needed

        for file in files:
            import_plugin_file(file)


def worker_fault(error: BaseException) -> str:
    """Return why a worker cannot go on after an error: memory ran out, or the GPU failed; empty if it can.

    What has once failed on a GPU fails from then on, until the process ends.
    """
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        if isinstance(cause, MemoryError) or _gpu_is_full(cause):
            return "memory ran out"
        if isinstance(cause, RuntimeError) and "CUDA error" in str(cause):
            return f"its GPU failed ({' '.join(str(cause).split())[:200]})"
        cause = cause.__cause__ or cause.__context__
    return ""


def _gpu_is_full(error: BaseException) -> bool:
    # Without torch nothing can have filled a GPU.
    if "torch" not in sys.modules:
        return False
    from tokimp.models.batching import out_of_memory  # noqa: PLC0415 - heavy, and needed after an error only

    return out_of_memory(error)


def sendable(error: Exception) -> Exception:
    """Return an error as it can be sent to another process: itself, or an `ExecutorError` with its type and message."""
    try:
        again = pickle.loads(pickle.dumps(error))  # noqa: S301 - its own bytes
        if type(again) is type(error) and str(again) == str(error):
            return error
    # Exceptions with arguments of their own raise errors of many kinds.
    except Exception:  # noqa: BLE001, S110 - described below
        pass
    return ExecutorError(f"{type(error).__name__}: {error}")


@contextlib.contextmanager
def _warnings_of_tokimp() -> Iterator[list[str]]:
    """Collect tokimp's warnings instead of showing them here."""
    texts: list[str] = []

    def note(message: Warning | str, category: type[Warning], *_place: object, **_source: object) -> None:
        if issubclass(category, TokimpWarning):
            texts.append(str(message))

    with warnings.catch_warnings():
        warnings.simplefilter("always", TokimpWarning)
        warnings.showwarning = note
        yield texts
