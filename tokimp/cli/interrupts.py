"""What Ctrl-C does: at any moment the command ends in one line on standard error, with status 130."""

import os
import signal
import sys
import traceback
from types import FrameType
from typing import NoReturn

STATUS = 128 + signal.SIGINT
"""The exit status that shells give a program that was interrupted: 130."""

_LINE = "tokimp: interrupted; what is finished is kept, and the same command goes on from there\n"
_SHOW_CURSOR = "\x1b[?25h"


class Interrupted(Exception):  # noqa: N818 - no mistake, but what the user wants
    """Ctrl-C during a command. Click would make a blank line of a `KeyboardInterrupt` that reaches it."""


def end_imports_at_once(*, debug: bool = False) -> None:
    """From now on end the process at once if Ctrl-C comes during an import; else raise `KeyboardInterrupt` as usual.

    An exception in the middle of an import is often lost or changed: Python prints and forgets one raised in a
    callback of its import locks, and extension modules turn it into errors of their own.

    Parameters
    ----------
    debug
        Whether to show where an import was, before the process ends.
    """
    signal.signal(signal.SIGINT, _show_and_end_imports if debug else _raise_outside_imports)


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
    if _is_import(frame):
        _end(number, frame)
    raise KeyboardInterrupt


def _show_and_end_imports(number: int, frame: FrameType | None) -> None:
    if _is_import(frame):
        sys.stderr.write("Traceback (most recent call last):\n")
        traceback.print_stack(frame)
        sys.stderr.flush()
        _end(number, frame)
    raise KeyboardInterrupt


def _is_import(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def _end(number: int, frame: FrameType | None) -> NoReturn:
    try:
        sys.stdout.flush()
        os.write(2, _text().encode())
    except (OSError, RuntimeError, ValueError):
        # Closed, or interrupted in the middle of a flush: there is nothing left to say.
        pass
    os._exit(STATUS)
