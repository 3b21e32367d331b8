"""A limit for code that a stranger wrote and that may never end, such as a chat template."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class TimeIsUp(Exception):  # noqa: N818 - it says what happened, and never leaves the block that asked for it
    """The block has taken longer than it may."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `TimeIsUp` within the block once it has taken too long.

    The exception is raised between two steps of Python code in the thread that runs the block. A single long call of a
    library written in C ends first.

    Parameters
    ----------
    seconds
        How long the block may take.
    """
    thread = threading.get_ident()
    watched = threading.Lock()
    is_over = False

    def stop() -> None:
        with watched:
            if not is_over:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(TimeIsUp))

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        with watched:
            is_over = True
