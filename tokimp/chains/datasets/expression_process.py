"""The process that compares expressions: started at the first comparison, kept, and replaced once one took too long.

A limit of time within this process would not hold: the algebra of ``9^{9^{9}}`` is a single step of a library, and
answers are compared in threads too, which no signal reaches.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from tokimp.errors import TokimpError

_PROGRAM = Path(__file__).with_name("expression_algebra.py")
_READY = "ready\n"


class ExpressionProcess:
    """A process that compares expressions, one pair at a time, for any thread that asks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def same(self, one: str, other: str, seconds: float) -> bool | None:
        """Return whether two expressions are equal; ``None`` if that is not known within a number of seconds.

        Raises
        ------
        TokimpError
            If the process cannot be started.
        """
        request = json.dumps([one, other, seconds]) + "\n"
        with self._lock:
            # Somebody may have ended the process that was kept; that is seen once it is asked. The second one is new.
            for _ in range(2):
                process = self._process = self._process or _started()
                try:
                    answer = _answer(process, request)
                except BaseException:
                    # After Ctrl-C the answer still comes, and must not be taken for the next one's.
                    process.kill()
                    self._end()
                    raise
                if answer:
                    verdict: bool | None = json.loads(answer)
                    return verdict
                if self._end() == -signal.SIGALRM:
                    break
        return None

    def close(self) -> None:
        """End the process, if there is one. The next comparison starts another."""
        with self._lock:
            self._end()

    def _end(self) -> int | None:
        process, self._process = self._process, None
        if process is None:
            return None
        # Its input ends, and so does it; what is ended already keeps its status.
        process.communicate()
        return process.returncode


def _started() -> subprocess.Popen[str]:
    # -P: the folder of the program holds modules of this room, which are not meant where a library imports by name.
    process = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-P", str(_PROGRAM)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
    )
    if _answer(process, "") != _READY:
        process.communicate()
        raise TokimpError(
            f"the process that compares mathematical expressions does not start (status {process.returncode}); "
            f"`{sys.executable} -P {_PROGRAM}` shows why"
        )
    return process


def _answer(process: subprocess.Popen[str], request: str) -> str:
    """Return the line that a process answers with; empty if it has ended."""
    if process.stdin is None or process.stdout is None:
        raise ValueError("the process has no pipes")
    try:
        process.stdin.write(request)
        process.stdin.flush()
        return process.stdout.readline()
    except BrokenPipeError:
        return ""


def _forget() -> None:
    """Leave the process to the one that was forked: two that ask it would read each other's answers."""
    global EXPRESSION_PROCESS  # noqa: PLW0603 - one for the whole program
    EXPRESSION_PROCESS = ExpressionProcess()


EXPRESSION_PROCESS = ExpressionProcess()
"""The process of this program."""


@atexit.register
def _close() -> None:
    EXPRESSION_PROCESS.close()


os.register_at_fork(after_in_child=_forget)
