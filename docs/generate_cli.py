"""Write ``docs/cli.md`` from the commands' own ``--help``; a test checks that it is up to date."""

from __future__ import annotations

from pathlib import Path

import click

from tokimp.cli.main import cli

HEADER = """# The command line

Made from `--help` by `python docs/generate_cli.py`; do not edit it by hand.

Exit status: 0 done, 2 wrong usage, 1 anything else, with one line on stderr that says what to do.
`--debug` shows the traceback behind that line.
"""


def render() -> str:
    """Return the page's text."""
    sections = [HEADER]
    commands: list[tuple[str, click.Command]] = [("tokimp", cli)]
    commands += [(f"tokimp {name}", command) for name, command in sorted(cli.commands.items())]
    for name, command in commands:
        context = click.Context(command, info_name=name, max_content_width=100, terminal_width=100)
        sections.append(f"## {name}\n\n```text\n{command.get_help(context).rstrip()}\n```\n")
    return "\n".join(sections)


if __name__ == "__main__":
    Path(__file__).with_name("cli.md").write_text(render(), encoding="utf-8")
