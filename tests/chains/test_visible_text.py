"""Text that a terminal would obey is shown instead."""

from __future__ import annotations

from pathlib import Path

import pytest

import tokimp.cli
from tokimp.chains.visible_text import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x9b2J", "\\x9b2J"),
        ("a\rb\x08", "a\\x0db\\x08"),
        ("\u202eabc\u2066", "\\u202eabc\\u2066"),
        ("half \udc80", "half \\udc80"),
        ("[red]é 漢 👩\u200d🔬\n\tx", "[red]é 漢 👩\u200d🔬\n\tx"),
    ],
)
def test_what_a_terminal_obeys_is_written_out(text: str, shown: str) -> None:
    """Control sequences, marks of direction and half characters become escapes; everything else stays."""
    assert visible(text) == shown


def test_the_commands_write_through_one_function() -> None:
    """No command writes a line past `tokimp.cli.lines.echo`, or to a console that shows no control characters."""
    folder = Path(tokimp.cli.__file__).parent
    sources = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.py")}
    assert [name for name, source in sources.items() if "click.echo" in source] == ["lines.py"]
    assert [name for name, source in sources.items() if "Console(" in source.replace("TerminalConsole(", "")] == []
