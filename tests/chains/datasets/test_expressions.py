"""Comparing expressions in a process of its own: in any thread, with a limit of time that holds, and after faults."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

import pytest

from tokimp.chains.datasets import expression_process, expressions
from tokimp.chains.datasets.expression_process import ExpressionProcess
from tokimp.chains.datasets.values import same_value
from tokimp.errors import TokimpError

# One step of a library, a loop within it, a sum of a billion terms, a polynomial of a billion terms.
ENDLESS = ["9^{9^{9^{8}}}", "99999999!", r"\sum_{i=1}^{1000000000} i^i", "(x+y+z+1)^{5000}"]


def in_thread(work: Callable[[], bool | None]) -> bool | None:
    """Return what a function returns in a thread that is not the main one."""
    verdicts: list[bool | None] = []
    thread = threading.Thread(target=lambda: verdicts.append(work()), daemon=True)
    thread.start()
    thread.join(60)
    assert verdicts, "the thread has not ended"
    return verdicts[0]


@pytest.fixture
def process_id() -> int:
    """Return the id of the process that compares, which has just compared."""
    assert expression_process.EXPRESSION_PROCESS.same("1", "1", 60) is True
    process = expression_process.EXPRESSION_PROCESS._process
    assert process is not None
    return process.pid


@pytest.mark.parametrize("text", ENDLESS)
def test_an_expression_that_takes_too_long_is_not_known(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """What nobody can compute ends at the limit, in the main thread and in any other, and the next is compared."""
    monkeypatch.setattr(expressions, "_SECONDS", 0.3)
    expressions._compared.cache_clear()
    assert same_value(text, "2") is None
    assert in_thread(lambda: same_value(text, "3")) is None
    monkeypatch.undo()
    expressions._compared.cache_clear()
    assert in_thread(lambda: same_value(r"\frac{3}{4}", "0.75")) is True


def test_threads_get_their_own_answers() -> None:
    """Eight threads that ask at once each get the answer to their own question."""
    verdicts: dict[tuple[int, int], bool | None] = {}

    def ask(thread: int) -> None:
        for other in range(8):
            verdicts[thread, other] = expression_process.EXPRESSION_PROCESS.same(f"{thread}+1", f"1+{other}", 60)

    threads = [threading.Thread(target=ask, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert verdicts == {(one, other): one == other for one in range(8) for other in range(8)}


def test_a_process_that_was_ended_is_replaced(process_id: int) -> None:
    """Where somebody ends the process, another one answers."""
    os.kill(process_id, signal.SIGKILL)
    assert expression_process.EXPRESSION_PROCESS.same("1", "2", 60) is False


def test_an_interrupted_answer_is_not_the_next_one(monkeypatch: pytest.MonkeyPatch, process_id: int) -> None:
    """After Ctrl-C during a comparison the next comparison gets its own answer."""
    process = expression_process.EXPRESSION_PROCESS._process
    assert process is not None
    assert process.stdout is not None

    def interrupted() -> str:
        time.sleep(0.5)
        raise KeyboardInterrupt

    monkeypatch.setattr(process.stdout, "readline", interrupted)
    with pytest.raises(KeyboardInterrupt):
        expression_process.EXPRESSION_PROCESS.same("1", "1", 60)
    assert expression_process.EXPRESSION_PROCESS.same("1", "2", 60) is False
    assert process.pid == process_id


def test_a_forked_process_asks_one_of_its_own(process_id: int) -> None:
    """A process that was forked does not read answers that its parent waits for."""
    child = os.fork()
    if child == 0:
        process = expression_process.EXPRESSION_PROCESS._process
        os._exit(0 if process is None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    process = expression_process.EXPRESSION_PROCESS._process
    assert process is not None
    assert process.pid == process_id


def test_a_process_that_does_not_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the program fails, the error says how to see why."""
    monkeypatch.setattr("tokimp.chains.datasets.expression_process._PROGRAM", "/nowhere/program.py")
    with pytest.raises(TokimpError, match=r"does not start \(status 2\); `.* -P /nowhere/program.py` shows why"):
        ExpressionProcess().same("1", "2", 60)
