"""The table of commands: how soon it answers, and what it imports to do so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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


@pytest.mark.parametrize(
    "arguments",
    [
        ["compare", "nosuch.jsonl"],
        ["compare", "--estimator", "greedy", "--objective", "answer", "nosuch.jsonl"],
        ["bench", "nosuch.jsonl"],
        ["prune", "nosuch.jsonl", "--out", "short.jsonl"],
        ["show", "nosuch.jsonl"],
        ["audit", "position", "--chains", "nosuch.jsonl"],
        ["sample", "gsm8k", "nosuch.jsonl", "--out", "run"],
        ["evaluate", "gsm8k", "nosuch.jsonl", "--out", "run"],
        ["compare", "demo", "--model", "./nosuch"],
        ["compare", "demo", "--model", "no such"],
        ["train", __file__, "--student", "./nosuch", "--out", "run"],
        ["sample", "word_problems", "--model", "./nosuch", "--out", "run"],
        ["doctor", "--model", "./nosuch"],
    ],
)
def test_what_is_not_there_is_said_before_libraries_are_loaded(arguments: list[str]) -> None:
    """A misspelt file or model costs less than two seconds: neither torch nor transformers is imported."""
    code, seconds, imported = _run(*arguments)
    assert code == 1
    assert imported & {"torch", "transformers", "xarray", "datasets"} == set()
    assert seconds < 2


@pytest.mark.parametrize("before", [["compare"], ["show"], ["sample", "gsm8k", "--out", "run"]])
def test_an_empty_file_is_said_before_libraries_are_loaded(before: list[str], tmp_path: Path) -> None:
    """A file that holds nothing costs no more time than one that is not there."""
    empty = tmp_path / "chains.jsonl"
    empty.touch()
    code, seconds, imported = _run(*before, str(empty))
    assert code == 1
    assert imported & {"torch", "transformers", "xarray", "datasets"} == set()
    assert seconds < 2


def test_help_is_shown_beside_what_is_not_there(tokimp: Run) -> None:
    """A user who asks for help gets it, whatever else was typed."""
    done = tokimp("compare", "nosuch.jsonl", "--help")
    assert (done.status, "--estimator" in done.out) == (0, True)


def test_models_of_another_scorer_are_left_to_it(tokimp: Run) -> None:
    """What a name means is for another package's scorer, or for vLLM, to say."""
    done = tokimp("compare", "demo", "--limit", "1", "--backend", "tokimp.testing.toy_scorer:AdditiveScorer")
    left = tokimp("compare", "demo", "--model", "./own", "--backend", "tokimp.testing.toy_scorer:AdditiveScorer")
    assert done.status == left.status == 1
    assert "there is no model folder or GGUF file './own'; check the path" not in done.err
