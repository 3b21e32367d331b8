"""Ctrl-C at any moment."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

LINE = "tokimp: interrupted; what is finished is kept, and the same command goes on from there\n"
COMPARE = ("compare", "--estimator", "greedy")
# Writes to standard output when the command line is about to start.
STARTED = "print(flush=True); from tokimp.cli.main import main; main()"
# Presses Ctrl-C where a module is about to be imported.
INTERRUPTED = """
import signal, sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
from tokimp.cli.main import main
main()
"""


@pytest.mark.parametrize(
    "delay", [0.1, 0.3, 0.6, 1, 1.5, 2, 3, *(pytest.param(late, marks=pytest.mark.slow) for late in (5, 8))]
)
def test_an_interrupt_at_any_moment_ends_in_one_line(delay: float, tmp_path: Path) -> None:
    """Ctrl-C while the command loads, reads or computes gives status 130 and one line, without a traceback."""
    program = [sys.executable, "-c", STARTED, *COMPARE, "--out", str(tmp_path / "run")]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "\n"
        time.sleep(delay)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=120)
    if running.returncode == 0:
        pytest.skip(f"the command was done after {delay} seconds")
    assert running.returncode == 130
    assert out == ""
    # A line at every tenth of the way may come before.
    lines = err.splitlines(keepends=True)
    assert lines[-1] == LINE
    assert all(line.startswith("comparing: ") for line in lines[:-1])


@pytest.mark.parametrize("module", ["click", "tokimp.cli.commands", "tokimp.cli.compare", "torch", "transformers"])
def test_an_interrupt_during_an_import_ends_in_one_line(module: str) -> None:
    """Ctrl-C in the middle of an import, whose exceptions libraries may swallow, ends the command all the same."""
    program = [sys.executable, "-c", INTERRUPTED.format(module=module), *COMPARE]
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", LINE)


def test_debug_shows_where_an_interrupt_came() -> None:
    """With --debug the traceback stands before the line."""
    program = [sys.executable, "-c", INTERRUPTED.format(module="torch"), *COMPARE, "--debug"]
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 130
    assert "Traceback" in done.stderr
    assert done.stderr.endswith(LINE)
