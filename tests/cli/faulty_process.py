"""Run a command in a process of its own that is killed, or meets a full disk, at a chosen system call that writes."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tokimp.cli.main import main

Fault = Literal["none", "kill", "full"]
_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


@dataclass(frozen=True)
class Ended:
    """How a process ended: its status (negative: by a signal), the writing calls it made, and standard error."""

    status: int
    calls: int
    err: str


def run_faulty(arguments: list[str], folder: Path, fault: Fault = "none", at: int = 0) -> Ended:
    """Run ``tokimp`` in a folder, in a process forked from this one, so that nothing is imported anew.

    Parameters
    ----------
    arguments
        Of the command line.
    folder
        The current folder of the process; only calls that write in it count.
    fault, at
        What happens at which call that opens a file for writing, makes, renames, removes or flushes one, from 1. A disk
        that is full stays full.
    """
    calls = multiprocessing.get_context("fork").Value("i", 0)
    log = folder.parent / f"{folder.name}.err"
    child = os.fork()
    if child == 0:
        status = 70
        try:
            _be_faulty(folder, calls, fault, at)
            status = _run(arguments, folder, log)
        finally:
            os._exit(status)
    _, waited = os.waitpid(child, 0)
    return Ended(os.waitstatus_to_exitcode(waited), calls.value, log.read_text(encoding="utf-8", errors="replace"))


def _run(arguments: list[str], folder: Path, log: Path) -> int:
    stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(stream, 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115 - descriptors
    os.chdir(folder)
    sys.argv = ["tokimp", *arguments]
    try:
        main()
    except SystemExit as ended:
        sys.stderr.flush()
        return ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    return 0


def _be_faulty(folder: Path, calls: Any, fault: Fault, at: int) -> None:
    flush = os.fsync

    def meet(*, needs_space: bool) -> None:
        calls.value += 1
        if fault == "kill" and calls.value == at:
            os.kill(os.getpid(), signal.SIGKILL)
        if fault == "full" and calls.value >= at and needs_space:
            raise OSError(errno.ENOSPC, "No space left on device")

    def flushing(fd: Any) -> None:
        meet(needs_space=True)
        flush(fd)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        is_write = event in _CHANGES or (event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITES)
        if is_write and _lies_in(arguments[0], folder):
            meet(needs_space=event in {"open", "os.mkdir"} and not str(arguments[0]).endswith(".lock"))

    os.fsync = flushing
    sys.addaudithook(hook)


def _lies_in(path: Any, folder: Path) -> bool:
    if not isinstance(path, str | bytes | os.PathLike):
        return False
    # Not Path.resolve, which would ask the file system in the middle of a call to it.
    return os.path.abspath(os.fsdecode(path)).startswith(str(folder) + os.sep)  # noqa: PTH100 - see above


def call_numbers(count: int, most: int) -> list[int]:
    """Return the numbers of calls to fail at: all, or, if they are many, as many as allowed, evenly spread."""
    if count <= most:
        return list(range(1, count + 1))
    return sorted({1 + round(place * (count - 1) / (most - 1)) for place in range(most)})
