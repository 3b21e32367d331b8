"""Work that dies, hangs or fails as its pieces say; its module is quick to import, and so are its workers."""

from __future__ import annotations

import os
import signal
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tokimp.contracts.executor import Failure, Work
from tokimp.errors import TokimpWarning


class Acts(Work):
    """Does what a piece says: squares a number, or dies, hangs or fails in some way the first times.

    Parameters
    ----------
    folder
        Where each try of a piece leaves a file.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def prepare(self) -> Callable[[tuple[str, int, int]], Any]:
        """Return the function; a payload is what to do, how often, and the number."""

        def act(payload: tuple[str, int, int]) -> Any:
            how, times, number = payload
            tries = len(list(self.folder.glob(f"{number}-*")))
            (self.folder / f"{number}-{tries}-{os.getpid()}").touch()
            if tries < times:
                _act(how)
            return number**2

        return act


def _act(how: str) -> None:
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "crashed":
        os.abort()
    elif how == "exits":
        sys.exit(3)
    elif how == "hangs":
        time.sleep(1000)
    elif how == "memory":
        raise MemoryError("no room")
    elif how == "gpu":
        raise ValueError("wrapped") from RuntimeError("CUDA error: device-side assert triggered")


class AwkwardError(Exception):
    """Is pickled, and cannot be made again from what was."""

    def __init__(self, what: str, *, where: str) -> None:
        super().__init__(f"{what} at {where}")


class AwkwardResult:
    """Is pickled, and cannot be made again in the process with this id."""

    def __init__(self, process: int) -> None:
        self.process = process

    def __setstate__(self, state: dict[str, int]) -> None:
        """Refuse in that process."""
        if os.getpid() == state["process"]:
            raise ValueError("not here")
        self.__dict__.update(state)


class Awkward(Work):
    """Has results that are not easily sent."""

    def prepare(self) -> Callable[[Any], Any]:
        """Return a function that gives a list with a failure or, if it is told a process, what cannot be read there."""

        def give(process: int | None) -> Any:
            if process is not None:
                return AwkwardResult(process)
            return [1, Failure.of(AwkwardError("failed", where="here"))]

        return give


class CannotStart(Work):
    """Has no model."""

    def prepare(self) -> Callable[[Any], Any]:
        """Raise."""
        raise OSError("no weights here")


class Warns(Work):
    """Warns."""

    def prepare(self) -> Callable[[Any], Any]:
        """Return a function that warns."""
        return lambda _: warnings.warn("look here", TokimpWarning, stacklevel=1)
