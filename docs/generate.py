"""Write ``docs/cli.md`` and ``docs/api.md`` from what the code says of itself; a test keeps them up to date."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from enum import Enum
from itertools import pairwise
from pathlib import Path
from typing import Any

import click

import tokimp
import tokimp.testing
from tokimp.cli.commands import cli
from tokimp.cli.lazy_command import LazyCommand
from tokimp.report.accessor import ResultAccessor

CLI_HEADER = """# The command line

Made from `--help` by `python docs/generate.py`; do not edit it by hand.

Exit status: 0 done, 2 wrong usage, 130 interrupted (Ctrl-C), 1 anything else. If it is not 0, one line on standard
error says what to do.
`--debug` shows the traceback behind that line.
"""
API_HEADER = """# The Python interface

Made from the docstrings by `python docs/generate.py`; do not edit it by hand.
`help(tokimp.compare)` shows the whole of each.
"""


def command_line() -> str:
    """Return the text of ``cli.md``."""
    sections = [CLI_HEADER]
    commands: list[tuple[str, click.Command]] = [("tokimp", cli)]
    for name, command in sorted(cli.commands.items()):
        commands.append((f"tokimp {name}", command.command if isinstance(command, LazyCommand) else command))
    for name, command in commands:
        context = click.Context(
            command, info_name=name, max_content_width=100, terminal_width=100, help_option_names=["-h", "--help"]
        )
        sections.append(f"## {name}\n\n```text\n{command.get_help(context).rstrip()}\n```\n")
    return "\n".join(sections)


def interface() -> str:
    """Return the text of ``api.md``: every public name, in its group."""
    lines = [API_HEADER]
    for group, names in public_names().items():
        lines.append(f"\n## {group}\n")
        for name in names:
            public = getattr(tokimp, name)
            lines.append(f"- `tokimp.{name}{_parameters(public)}`: {summary(name)}")
            if inspect.ismodule(public):
                lines += _members(f"  - `tokimp.{name}.", public, public.__all__)
    lines.append("\n## Methods of a result\n")
    methods = [name for name in vars(ResultAccessor) if not name.startswith("_")]
    lines += _members("- `result.tokimp.", ResultAccessor, methods)
    lines.append("\n## Checks and toys for the tests of plugins\n")
    lines += _members("- `tokimp.testing.", tokimp.testing, tokimp.testing.__all__)
    return "\n".join(lines) + "\n"


def _members(beginning: str, owner: Any, names: list[str]) -> list[str]:
    """Return a line for each function or class of a module or class that a user calls."""
    described = {name: getattr(owner, name) for name in names}
    return [f"{beginning}{name}{_parameters(public)}`: {_first(public)}" for name, public in described.items()]


def public_names() -> dict[str, list[str]]:
    """Return the public names by group, as the comments in ``__all__`` of ``tokimp/__init__.pyi`` divide them."""
    stub = _stub()
    listed = stub[stub.index("__all__") :]
    groups: dict[str, list[str]] = {}
    for comment, name in re.findall(r"^    # (.+)$|^    \"(\w+)\",$", listed, flags=re.MULTILINE):
        if comment:
            groups[comment.capitalize()] = latest = []
        elif not name.startswith("_"):
            latest.append(name)
    return groups


def _stub() -> str:
    return Path(tokimp.__file__).with_suffix(".pyi").read_text(encoding="utf-8")


def summary(name: str) -> str:
    """Return the first paragraph of a public name's docstring, on one line.

    The docstring of a constant, such as a type of arrays, stands below it in the module that the stub takes it from.
    """
    public = getattr(tokimp, name)
    is_constant = not (inspect.isclass(public) or inspect.isfunction(public) or inspect.ismodule(public))
    text = _docstring_of_constant(name) if is_constant else _first(public)
    if not text:
        raise ValueError(f"tokimp.{name} has no docstring; write one where it is defined")
    return " ".join(text.split("\n\n", maxsplit=1)[0].split())


def _first(public: Any) -> str:
    """Return the first paragraph of the docstring of a class, function or module, on one line."""
    return " ".join((inspect.getdoc(public) or "").split("\n\n", maxsplit=1)[0].split())


def _docstring_of_constant(name: str) -> str:
    for imported in ast.parse(_stub()).body:
        if isinstance(imported, ast.ImportFrom) and name in {alias.name for alias in imported.names}:
            module = importlib.import_module(f"tokimp.{imported.module}")
            for statement, below in pairwise(ast.parse(inspect.getsource(module)).body):
                assigned = isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == name
                if assigned and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
                    return str(below.value.value)
    return ""


def _parameters(public: Any) -> str:
    """Return what a function or class is called with, without types; nothing for exceptions and enumerations."""
    is_class = inspect.isclass(public)
    if not (is_class or inspect.isfunction(public)) or (is_class and issubclass(public, Exception | Enum)):
        return ""
    signature = inspect.signature(public)
    own = [parameter for parameter in signature.parameters.values() if parameter.name != "self"]
    bare = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in own]
    text = str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty))
    # The place of a default in this process's memory is nothing to read.
    return re.sub(r"<function (\w+) at 0x[0-9a-f]+>", r"<\1>", text)


PAGES = {"cli.md": command_line, "api.md": interface}

if __name__ == "__main__":
    for page, render in PAGES.items():
        Path(__file__).with_name(page).write_text(render(), encoding="utf-8")
