"""Tables on a terminal: however narrow it is, no word is split and nothing is cut off."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tokimp.report.terminal import TerminalConsole, console_for, keep_words_whole, new_table, print_whole, table_widths

WORDS = ("estimator", "leave_one_out", "0.25", "[0.10,0.40]")


def table() -> Table:
    """Return a table of two columns of long words."""
    made = new_table("a title")
    made.add_column(WORDS[0])
    made.add_column("mean")
    made.add_row(WORDS[1], rf"{WORDS[2]} \{WORDS[3]}")
    return keep_words_whole(made)


def printed(width: int) -> str:
    """Return the table as a console of a width shows it."""
    console = Console(file=StringIO(), width=width)
    print_whole(console, table())
    assert console.width == width
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [1, 20, 30, 40, 200])
def test_every_word_is_whole_at_every_width(width: int) -> None:
    """Lines become longer than a narrow console rather than words shorter."""
    assert set(WORDS) <= set(printed(width).split())


def test_a_wide_console_shows_a_row_on_a_line() -> None:
    """Where there is room, no cell is folded; where there is little, only between words."""
    wide = next(line for line in printed(200).splitlines() if WORDS[1] in line)
    assert wide.split() == list(WORDS[1:])
    narrow = next(line for line in printed(20).splitlines() if WORDS[1] in line)
    assert narrow.split() == [WORDS[1], WORDS[2]]


def test_a_file_gets_lines_as_long_as_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Output that goes to no terminal is as wide as its widest table, unless the user says how wide it is."""
    wide = new_table("wide")
    wide.add_column("x" * 300)
    monkeypatch.delenv("COLUMNS", raising=False)
    console = console_for([table(), wide])
    assert console.width >= 300
    assert console.width == table_widths(console, wide).maximum
    monkeypatch.setenv("COLUMNS", "50")
    assert console_for([wide]).width == 50


@pytest.mark.parametrize("cell", ["[/]", "\x1b]0;owned\x07", "[red]\x1b[31m[/]", "\x9b2J", "a\rb", "[/red]x[/]"])
def test_a_terminal_is_sent_no_control_character(cell: str) -> None:
    """Whatever a cell, a title, a heading or a line holds, a terminal gets text; broken markup is shown as it is."""
    made = new_table(cell)
    made.add_column(cell)
    made.add_row(cell)
    made.add_row(Text(cell))
    file = StringIO()
    console = TerminalConsole(file=file, width=80)
    print_whole(console, keep_words_whole(made))
    console.print(cell)
    console.print(Text(cell))
    written = file.getvalue()
    assert not set(written) & {"\x1b", "\x07", "\x9b", "\r"}
    assert written.strip()


def test_text_that_is_no_markup_is_shown_as_it_is() -> None:
    """An id that closes a style that nobody opened is an id."""
    file = StringIO()
    TerminalConsole(file=file, width=80).print("chain [/] by position")
    assert file.getvalue() == "chain [/] by position\n"
