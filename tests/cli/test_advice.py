"""Options that messages advise: they exist, in the command that shows the message."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import tokimp as ti
from tests.cli.conftest import Run
from tokimp.cli.advice import OPTION, fitting_advice, options_of
from tokimp.cli.commands import cli
from tokimp.cli.lazy_command import LazyCommand

ROOT = Path(ti.__file__).parent
COMMANDS = {name: options_of(lazy.command) for name, lazy in cli.commands.items() if isinstance(lazy, LazyCommand)}
# Rooms whose messages only one command shows.
ONLY = {"distillation/steps": "distill", "distillation/plan": "distill", "distillation/train": "train"}
# Options of other programs.
FOREIGN = {"--quiet", "--disable-pip-version-check", "--no-deps", "--dest", "--local-dir", "--no-python"}


def _texts(path: Path) -> Iterator[str]:
    """Yield the texts of a module that are no docstrings, each f-string as one text with its values left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and node.body
        if isinstance(node.body[0], ast.Expr)
    }
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings | parts:
            yield node.value


ADVISING = [
    pytest.param(path, text, id=f"{path.relative_to(ROOT)}: {text[:40]}")
    for path in sorted(ROOT.rglob("*.py"))
    for text in _texts(path)
    if set(OPTION.findall(text)) - FOREIGN
]


@pytest.mark.parametrize(("path", "text"), ADVISING)
def test_every_option_that_a_message_names_exists(path: Path, text: str) -> None:
    """A command names its own options; a message of another room names one in parentheses, or after its command."""
    room = str(path.relative_to(ROOT).parent)
    named = set(OPTION.findall(text)) - FOREIGN
    everywhere = set().union(*COMMANDS.values())
    assert named <= everywhere | {"--help", "--version"}
    for command, after in re.findall(r"tokimp ([a-z]+)((?:(?!tokimp |;|'|\").)*)", text):
        if command in COMMANDS:
            assert set(OPTION.findall(after)) <= COMMANDS[command] | {"--help"}
            named -= set(OPTION.findall(after))
    if room == "cli":
        # The list of plugins says how other commands take them.
        others = everywhere | {"--help", "--version"}
        own = others if path.stem == "plugins" else COMMANDS.get(path.stem, others)
        assert named <= own | {"--help"}
    elif room in ONLY:
        assert named <= COMMANDS[ONLY[room]]
    else:
        left = set(OPTION.findall(fitting_advice(text, click.Command("of no options"))))
        assert not left & named, "put the option in parentheses, so that a command without it can leave it out"


@pytest.mark.parametrize("command", ["sample", "evaluate", "train", "compare"])
def test_a_command_advises_its_own_options_only(tokimp: Run, tmp_path: Path, command: str) -> None:
    """The same empty reasoning is left out by an option of compare, and by hand where a command has none for it."""
    record = {"id": "a", "question": "How many?", "reasoning": " ", "answer": "#### 7", "gold": "7"}
    (tmp_path / "c.jsonl").write_text(json.dumps(record) + "\n", encoding="utf-8")
    what = {"train": ["c.jsonl", "--student", "tiny"], "compare": ["c.jsonl"]}.get(command, ["gsm8k", "c.jsonl"])
    done = tokimp(command, *what, "--out", "out")
    assert done.status == 1
    assert "leave it out" in done.err
    assert ("--skip-bad" in done.err) == (command == "compare")
