"""The command's first seconds."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

# Presses Ctrl-C where torch is about to be imported.
INTERRUPTED = """
import signal, sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
from tokimp_command import main
main()
"""


@pytest.mark.parametrize(("option", "lines"), [("--version", 1), ("--debug", None)])
def test_an_interrupt_while_loading_ends_in_one_line(option: str, lines: int | None) -> None:
    """Ctrl-C before the program is loaded gives exit status 1 and a line; the traceback is there with --debug."""
    program = [sys.executable, "-c", INTERRUPTED, option]
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout == ""
    if lines is None:
        assert "Traceback" in done.stderr
    else:
        assert (done.returncode, done.stderr) == (1, "tokimp: interrupted before it began\n")


def test_the_command_is_the_command_line() -> None:
    """What pip installs as tokimp runs the command group."""
    (command,) = entry_points(group="console_scripts", name="tokimp")
    assert command.value == "tokimp_command:main"
    program = [sys.executable, "-c", "from tokimp_command import main; main()", "analyze", "nowhere", "agreement"]
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 2
    assert "nowhere" in done.stderr
