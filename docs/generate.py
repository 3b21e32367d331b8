"""Write ``docs/cli.md`` and ``docs/api.md`` from what the code says of itself; a test keeps them up to date."""

from __future__ import annotations

import inspect
import re
from enum import Enum
from pathlib import Path
from typing import Any

import click

import tokimp
from tokimp.cli.main import cli

CLI_HEADER = """# The command line

Made from `--help` by `python docs/generate.py`; do not edit it by hand.

Exit status: 0 done, 2 wrong usage, 1 anything else, with one line on stderr that says what to do.
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
    commands += [(f"tokimp {name}", command) for name, command in sorted(cli.commands.items())]
    for name, command in commands:
        context = click.Context(
            command, info_name=name, max_content_width=100, terminal_width=100, help_option_names=["-h", "--help"]
        )
        sections.append(f"## {name}\n\n```text\n{command.get_help(context).rstrip()}\n```\n")
    return "\n".join(sections)


def interface() -> str:
    """Return the text of ``api.md``: every public name, in the groups of ``tokimp.__all__``."""
    source = inspect.getsource(tokimp)
    listed = source[source.index("__all__") :]
    lines = [API_HEADER]
    for comment, name in re.findall(r"^    # (.+)$|^    \"(\w+)\",$", listed, flags=re.MULTILINE):
        if comment:
            lines.append(f"\n## {comment.capitalize()}\n")
        elif not name.startswith("_"):
            public = getattr(tokimp, name)
            summary = (inspect.getdoc(public) or "").split("\n\n", maxsplit=1)[0]
            lines.append(f"- `tokimp.{name}{_parameters(public)}`: {' '.join(summary.split())}")
    return "\n".join(lines) + "\n"


def _parameters(public: Any) -> str:
    """Return what a function or class is called with, without types; nothing for exceptions and enumerations."""
    is_class = inspect.isclass(public)
    if not (is_class or inspect.isfunction(public)) or (is_class and issubclass(public, Exception | Enum)):
        return ""
    signature = inspect.signature(public)
    bare = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in signature.parameters.values()]
    return str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty))


PAGES = {"cli.md": command_line, "api.md": interface}

if __name__ == "__main__":
    for page, render in PAGES.items():
        Path(__file__).with_name(page).write_text(render(), encoding="utf-8")
