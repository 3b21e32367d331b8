"""The table of commands: how soon it answers, and what it imports to do so."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from tests.cli.conftest import Run
from tokimp.cli.commands import cli
from tokimp.cli.lazy_command import LazyCommand

HEAVY = ("torch", "transformers", "xarray", "pandas", "scipy", "matplotlib", "huggingface_hub", "datasets")
# Runs the command line, then writes its seconds of CPU and the libraries it imported.
PROGRAM = """
import atexit, os, sys

def report():
    print("seconds", sum(os.times()[:2]), file=sys.stderr)
    print("imported", *sys.modules, file=sys.stderr)

atexit.register(report)
from tokimp.cli.main import main
main()
"""


def _run(*arguments: str) -> tuple[int, float, set[str]]:
    """Return the exit status, the seconds of CPU, and the modules imported."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=False)
    *_, seconds, imported = done.stderr.splitlines()
    return done.returncode, float(seconds.split()[1]), set(imported.split()[1:])


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(["--help"], 0), (["--version"], 0), (["comparre"], 2), (["--no-such-option"], 2), ([], 2)],
)
def test_what_needs_no_command_answers_at_once(arguments: list[str], status: int) -> None:
    """Help, version and a wrong command take less than half a second of CPU and import no numeric library."""
    code, seconds, imported = _run(*arguments)
    assert code == status
    assert imported & {*HEAVY, "numpy", "rich"} == set()
    assert seconds < 0.5


def test_without_a_command_the_help_is_shown_line_by_line(tokimp: Run) -> None:
    """A user who types `tokimp` alone reads the same lines that --help gives, with a line for every command."""
    alone, asked = tokimp(), tokimp("--help")
    assert (alone.status, asked.status) == (2, 0)
    assert alone.err == asked.out
    assert all(f"\n  {command}" in alone.err for command in cli.commands)


@pytest.mark.parametrize("command", sorted(cli.commands))
def test_the_help_of_a_command_imports_nothing_heavy(command: str) -> None:
    """Choices and defaults in a command's help come from light modules."""
    code, _, imported = _run(command, "--help")
    assert code == 0
    assert imported & set(HEAVY) == set()


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_option_says_what_it_is_for(name: str) -> None:
    """A name and a default alone leave a user to guess."""
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    assert [option.opts[0] for option in options if not option.help] == []


def test_a_wrong_option_of_a_command_imports_nothing_heavy() -> None:
    """A mistake on the command line is found before any library is needed."""
    code, _, imported = _run("compare", "--no-such-option")
    assert code == 2
    assert imported & set(HEAVY) == set()


def test_a_command_that_is_misspelt_is_suggested(tokimp: Run) -> None:
    """A wrong command ends in one line that names the one that was meant."""
    done = tokimp("comparre")
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert "compare" in done.err.replace("comparre", "")


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_each_name_stands_for_the_command_of_that_name(name: str) -> None:
    """The table of commands leads to commands that bear its names, say what they do, and take --debug once."""
    lazy = cli.commands[name]
    assert isinstance(lazy, LazyCommand)
    assert lazy.command.name == name
    assert lazy.command.help
    assert [parameter.name for parameter in lazy.command.params].count("debug") == 1
