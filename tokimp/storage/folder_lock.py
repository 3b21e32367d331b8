"""The lock of a folder: one process at a time writes there, and a lock that a killed process left holds nobody up."""

from __future__ import annotations

import errno
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from tokimp.errors import ResumeError

NAME = ".lock"
_NAME_WITHOUT_LOCKS = ".lock.held"
# The lock of the system knows processes only; the threads of one process wait for each other here.
_of_threads: defaultdict[Path, threading.RLock] = defaultdict(threading.RLock)
_CANNOT_LOCK = {errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}


@contextmanager
def locked(folder: Path, *, wait: float = 0.0, alone: bool = False) -> Iterator[None]:
    """Hold the lock of a folder while the block runs.

    The operating system releases the lock when the process ends, however it ends. On a file system without locks a
    file stands for the lock instead; if a process is killed there, the message says which file to delete.

    Parameters
    ----------
    folder
        The folder; it is there.
    wait
        How long to wait for another process, in seconds.
    alone
        Whether to refuse also if this thread holds the lock already. By default it may take it once more.

    Raises
    ------
    ResumeError
        If another process or thread holds the lock, or the folder cannot be written to.
    """
    place = folder.resolve()
    # One object a folder and process, so that a process that holds the lock can take it again.
    lock: filelock.BaseFileLock = filelock.FileLock(place / NAME, is_singleton=True, thread_local=False)
    at_work = f"{folder}: another process is at work in this folder; wait for it, or use another folder"
    if (alone and lock.is_locked) or not _of_threads[place].acquire(timeout=wait):
        raise ResumeError(at_work)
    try:
        yield from _held(lock, folder, wait, at_work)
    finally:
        _of_threads[place].release()


def _held(lock: filelock.BaseFileLock, folder: Path, wait: float, at_work: str) -> Iterator[None]:
    """Hold a lock between processes while the one who asked goes on; see `locked`."""
    try:
        lock = _acquired(lock, wait)
    except filelock.Timeout as error:
        stands_for_lock = Path(error.lock_file)
        # The file of a real lock is empty; one that stands for a lock says which process made it.
        if stands_for_lock.exists() and stands_for_lock.stat().st_size:
            at_work += f"; if none is, because one was killed, delete {stands_for_lock}"
        raise ResumeError(at_work) from None
    except OSError as error:
        raise ResumeError(f"{folder} cannot be written to ({error}); use another folder") from error
    try:
        yield
    finally:
        lock.release()


def _acquired(lock: filelock.BaseFileLock, wait: float) -> filelock.BaseFileLock:
    """Acquire a lock, or a file in its place where the file system has no locks, and return which it is."""
    try:
        _acquire_soon(lock, wait)
    except OSError as error:
        if isinstance(error, filelock.Timeout) or error.errno not in _CANNOT_LOCK:
            raise
        place = Path(lock.lock_file).with_name(_NAME_WITHOUT_LOCKS)
        lock = filelock.SoftFileLock(place, is_singleton=True, thread_local=False)
        _acquire_soon(lock, wait)
    return lock


def _acquire_soon(lock: filelock.BaseFileLock, wait: float) -> None:
    """Acquire a lock, once more if its file went away meanwhile.

    Some versions of the library only remove the file of an ended process at the first try.
    """
    try:
        lock.acquire(timeout=wait)
    except filelock.Timeout:
        if Path(lock.lock_file).exists():
            raise
        lock.acquire(timeout=wait)
