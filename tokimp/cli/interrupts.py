"""What Ctrl-C does: at any moment the command ends in one line on standard error, with status 130."""

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

STATUS = 128 + signal.SIGINT
"""The exit status that shells give a program that was interrupted: 130."""

_LINE = "tokimp: interrupted; what is finished is kept, and the same command goes on from there\n"
_SHOW_CURSOR = "\x1b[?25h"


class Interrupted(Exception):  # noqa: N818 - no mistake, but what the user wants
    """Ctrl-C during a command. Click would make a blank line of a `KeyboardInterrupt` that reaches it."""


def end_imports_at_once() -> None:
    """From now on end the process at once if Ctrl-C comes during an import; else raise `KeyboardInterrupt` as usual.

    An exception in the middle of an import is often lost or changed: Python prints and forgets one raised in a
    callback of its import locks, and extension modules turn it into errors of their own.
    """
    signal.signal(signal.SIGINT, _raise_outside_imports)


def end_at_once() -> None:
    """From now on end the process at once if Ctrl-C comes: only Python's own clearing up is left to do."""
    signal.signal(signal.SIGINT, _end)


def report() -> int:
    """Write the line that says that the command was interrupted, and return the exit status."""
    sys.stderr.write(_text())
    sys.stderr.flush()
    return STATUS


def _text() -> str:
    # A terminal has just shown ^C, and a progress bar may have hidden its cursor.
    return f"{_SHOW_CURSOR}\n{_LINE}" if sys.stderr.isatty() else _LINE


def _raise_outside_imports(number: int, frame: FrameType | None) -> None:
    inner = frame
    while inner is not None:
        if inner.f_code.co_filename == "<frozen importlib._bootstrap>":
            _end(number, frame)
        inner = inner.f_back
    raise KeyboardInterrupt


def _end(number: int, frame: FrameType | None) -> NoReturn:
    try:
        sys.stdout.flush()
        os.write(2, _text().encode())
    except (OSError, RuntimeError, ValueError):
        # Closed, or interrupted in the middle of a flush: there is nothing left to say.
        pass
    os._exit(STATUS)
