"""Processes: workers that die, hang or never start, and what becomes of their pieces."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.compare.executors.acting_work import Acts, Awkward, CannotStart, Warns
from tokimp.compare.executors.processes import ProcessesExecutor
from tokimp.contracts.executor import Executor, Outcome, Piece, Workers
from tokimp.errors import ExecutorError, TokimpWarning
from tokimp.testing import check_executor


@pytest.fixture(scope="module")
def executor() -> Iterator[ProcessesExecutor]:
    """Return two workers, which the tests of this file share."""
    with ProcessesExecutor(workers=2, retries=1) as running:
        yield running


def acted(executor: Executor, folder: Path, *pieces: tuple[str, int]) -> dict[int, Outcome]:
    """Return the outcomes of pieces, by number."""
    all_pieces = [Piece(number, f"piece {number}", (how, times, number)) for number, (how, times) in enumerate(pieces)]
    return {outcome.piece.index: outcome for outcome in executor.run(Acts(folder), all_pieces, lambda _: None)}


def tries(folder: Path, number: int) -> int:
    """Return how often a piece was tried."""
    return len(list(folder.glob(f"{number}-*")))


def test_processes_keep_the_contract(executor: ProcessesExecutor) -> None:
    """Two workers do what the contract asks."""
    check_executor(executor)


@pytest.mark.parametrize("how", ["killed", "crashed", "exits", "memory", "gpu"])
def test_a_lost_worker_costs_its_piece_another_try(executor: ProcessesExecutor, tmp_path: Path, how: str) -> None:
    """The piece is done by another worker, the others are done once, and nothing is lost."""
    outcomes = acted(executor, tmp_path, ("", 0), (how, 1), ("", 0))
    assert [outcome.failure for outcome in outcomes.values()] == [None, None, None]
    assert [outcomes[number].result for number in range(3)] == [0, 1, 4]
    assert [tries(tmp_path, number) for number in range(3)] == [1, 2, 1]
    assert len({path.name.rpartition("-")[2] for path in tmp_path.glob("1-*")}) == 2


def test_a_piece_that_kills_every_worker_is_given_up(executor: ProcessesExecutor, tmp_path: Path) -> None:
    """After the retries its outcome says how its workers ended, and the others are done."""
    outcomes = acted(executor, tmp_path, ("", 0), ("killed", 9))
    assert outcomes[0].result == 0
    failure = outcomes[1].failure
    assert failure is not None
    assert "piece 1 was tried 2 times" in str(failure.error)
    assert "SIGKILL" in str(failure.error)


def test_memory_that_runs_out_each_time_is_the_error_itself(executor: ProcessesExecutor, tmp_path: Path) -> None:
    """What the last try raised is the outcome."""
    failure = acted(executor, tmp_path, ("memory", 9))[0].failure
    assert failure is not None
    assert isinstance(failure.error, MemoryError)
    assert "no room" in failure.traceback
    assert tries(tmp_path, 0) == 2


@pytest.mark.slow
def test_a_hanging_piece_is_ended(tmp_path: Path) -> None:
    """A worker that takes longer than allowed is ended, and its piece is tried again."""
    with ProcessesExecutor(workers=1, retries=1, cell_timeout=0.5) as executor:
        outcomes = acted(executor, tmp_path, ("hangs", 1), ("hangs", 9))
    assert outcomes[0].result == 0
    failure = outcomes[1].failure
    assert failure is not None
    assert "took longer than 0.5 s" in str(failure.error)


@pytest.mark.slow
def test_work_that_cannot_start_ends_the_run(executor: ProcessesExecutor) -> None:
    """The reason is said after a few tries."""
    with pytest.raises(ExecutorError, match=r"no worker of the executor processes could be started.*no weights here"):
        list(executor.run(CannotStart(), [Piece(0, "a", 1)], lambda _: None))


def test_work_that_cannot_be_sent_is_refused_before_a_worker_starts(tmp_path: Path) -> None:
    """A lock, an open file: the message says what holds it up, and what to do."""
    work = Acts(tmp_path)
    open_file: Any = (tmp_path / "open").open("w")
    work.folder = open_file
    with open_file, pytest.raises(ExecutorError, match=r"cannot be sent to another process .* use the executor local"):
        list(ProcessesExecutor(workers=1).run(work, [Piece(0, "a", 1)], lambda _: None))


def test_a_piece_that_a_worker_cannot_read_fails_and_holds_nobody_up(
    executor: ProcessesExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What only this process can make anew (of a class in a script) is the failure of its piece; others are done."""
    here = ModuleType("only_here")
    monkeypatch.setitem(sys.modules, "only_here", here)
    exec("class Foreign: pass", vars(here))  # noqa: S102 - a class of a module that no other process can import
    pieces = [Piece(0, "piece 0", here.Foreign()), Piece(1, "piece 1", ("", 0, 1))]
    outcomes = {outcome.piece.index: outcome for outcome in executor.run(Acts(tmp_path), pieces, lambda _: None)}
    failure = outcomes[0].failure
    assert failure is not None
    assert "cannot be read in another process (ModuleNotFoundError: No module named 'only_here'" in str(failure.error)
    assert outcomes[1].result == 1


def test_a_system_that_takes_no_more_processes_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what was wrong and what to do, and what was opened is closed."""

    def refuse(*_arguments: Any, **_options: Any) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    before = len(list(Path("/proc/self/fd").iterdir()))
    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.raises(ExecutorError, match=r"worker 0 cannot be started .*temporarily unavailable.*--workers"):
        list(ProcessesExecutor(workers=1).run(Acts(tmp_path), [Piece(0, "a", ("", 0, 0))], lambda _: None))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_what_cannot_be_made_again_here_is_the_failure_of_its_piece(executor: ProcessesExecutor) -> None:
    """An error within a result is described; a result of such a kind is a failure; neither ends the run."""
    pieces = [Piece(0, "piece 0", None), Piece(1, "piece 1", os.getpid()), Piece(2, "piece 2", None)]
    outcomes = {outcome.piece.index: outcome for outcome in executor.run(Awkward(), pieces, lambda _: None)}
    for index in (0, 2):
        first, failed = outcomes[index].result
        assert (first, failed.type) == (1, "AwkwardError")
        assert str(failed.error) == "AwkwardError: failed at here"
    failure = outcomes[1].failure
    assert failure is not None
    assert "what came back cannot be read in this process (ValueError: not here)" in str(failure.error)


def test_the_heaviest_piece_goes_first(executor: ProcessesExecutor, tmp_path: Path) -> None:
    """Pieces are handed out by weight, and those of one weight in their order."""
    pieces = [Piece(number, f"piece {number}", ("", 0, number), weight=number // 2) for number in range(8)]
    with ProcessesExecutor(workers=1) as alone:
        order = [outcome.piece.index for outcome in alone.run(Acts(tmp_path), pieces, lambda _: None)]
    assert order == [6, 7, 4, 5, 2, 3, 0, 1]


def test_watchers_hear_of_losses(executor: ProcessesExecutor, tmp_path: Path) -> None:
    """Each loss is counted, and the worker that takes its place too."""
    heard: list[Workers] = []
    pieces = [Piece(number, f"piece {number}", ("killed", 1, number)) for number in range(2)]
    list(executor.run(Acts(tmp_path), pieces, heard.append))
    assert heard[-1].lost == 2
    assert heard[-1].alive >= 1


def test_warnings_of_workers_are_heard_here(executor: ProcessesExecutor) -> None:
    """What tokimp warns of in a worker is a warning of the driver."""
    with pytest.warns(TokimpWarning, match="look here"):
        list(executor.run(Warns(), [Piece(0, "a", 1)], lambda _: None))


def test_workers_end_with_a_driver_that_is_killed(tmp_path: Path) -> None:
    """A worker in the middle of a piece ends when the process that started it was killed."""
    program = f"""
import time
from pathlib import Path
from tests.compare.executors.acting_work import Acts, CannotStart, Warns
from tokimp.compare.executors.processes import ProcessesExecutor
from tokimp.contracts.executor import Piece, Work

class Sleeps(Work):
    def prepare(self):
        import os
        def sleep(_):
            Path({str(tmp_path)!r}, str(os.getpid())).touch()
            time.sleep(1000)
        return sleep

list(ProcessesExecutor(workers=1).run(Sleeps(), [Piece(0, "a", 1)], print))
"""
    # A script without a main block: its classes go along, and it is not run again by its worker.
    script = tmp_path / "script.py"
    script.write_text(program, encoding="utf-8")
    with subprocess.Popen([sys.executable, str(script)]) as driver:
        _until(lambda: any(path.name.isdigit() for path in tmp_path.iterdir()))
        driver.kill()
    (worker,) = [int(path.name) for path in tmp_path.iterdir() if path.name.isdigit()]
    _until(lambda: not _alive(worker))


def _alive(process: int) -> bool:
    try:
        # A dead child of a dead parent may wait for its burial: a zombie is not alive.
        return ") Z" not in Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False


def _until(holds: Callable[[], bool], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)
