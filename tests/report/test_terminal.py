"""Tables on a terminal: however narrow it is, no word is split and nothing is cut off."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tokimp.report.terminal import (
    WIDEST,
    TerminalConsole,
    console_for,
    keep_words_whole,
    new_table,
    print_whole,
    table_parts,
    table_widths,
)

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


def test_a_file_gets_lines_as_long_as_the_table_up_to_a_hundred(monkeypatch: pytest.MonkeyPatch) -> None:
    """Output that goes to no terminal is as wide as its widest table, but no wider than a page; or as the user says."""
    near, wide = new_table("near"), new_table("wide")
    near.add_column("x" * 90)
    wide.add_column("x" * 300)
    monkeypatch.delenv("COLUMNS", raising=False)
    console = console_for([table(), near])
    assert console.width == table_widths(console, near).maximum > 90
    assert console_for([table(), wide]).width == WIDEST == 100
    monkeypatch.setenv("COLUMNS", "50")
    assert console_for([wide]).width == 50


def test_a_table_that_is_too_wide_is_printed_in_parts() -> None:
    """Each part fits, names the rows, and keeps their sections; every number is there once, the caption at the end."""
    made = new_table("many")
    made.add_column("method")
    for number in range(12):
        made.add_column(f"column_{number}", justify="right")
    for row in ("greedy", "position"):
        made.add_row(row, *[f"{row}_{number}" for number in range(12)], end_section=row == "greedy")
    made.caption = "the foot"
    keep_words_whole(made)
    console = Console(file=StringIO(), width=60)
    parts = table_parts(console, made)
    assert len(parts) > 1
    assert all(table_widths(console, part).minimum <= 60 for part in parts)
    assert all(list(part.columns[0].cells) == ["greedy", "position"] for part in parts)
    assert all([row.end_section for row in part.rows] == [True, False] for part in parts)
    print_whole(console, made)
    assert isinstance(console.file, StringIO)
    words = console.file.getvalue().split()
    for row in ("greedy", "position"):
        for number in range(12):
            assert words.count(f"{row}_{number}") == 1
    assert console.file.getvalue().count("the foot") == 1
    assert max(map(len, console.file.getvalue().splitlines())) <= 60
    assert f"(1 of {len(parts)})" in console.file.getvalue()


@pytest.mark.parametrize("width", range(12, 60, 4))
def test_a_bound_column_stays_beside_the_one_before_it(width: int) -> None:
    """Whatever the width, a column that means little alone is in the part of the column that it belongs to."""
    made = new_table("agreement")
    made.add_column("pair")
    for number in range(4):
        made.add_column(f"measure_{number}", justify="right")
        made.add_bound_column(f"place_{number}")
    made.add_row("a / b", *["0.5"] * 8)
    parts = table_parts(TerminalConsole(width=width), keep_words_whole(made))
    shown = [[str(column.header) for column in part.columns] for part in parts]
    assert [name for names in shown for name in names if name != "pair"] == [str(c.header) for c in made.columns[1:]]
    for names in shown:
        for number in range(4):
            assert (f"measure_{number}" in names) == (f"place_{number}" in names)


def test_a_table_whose_maker_set_no_widths_is_whole_too() -> None:
    """Names of rows and numbers are never cut down to their first letters; a column that is not folded stays whole."""
    made = new_table("costs")
    made.add_column("way", no_wrap=True)
    for number in range(8):
        made.add_column(f"column {number}", justify="right")
    made.add_row("from scratch", *[f"{number}.25" for number in range(8)])
    console = Console(file=StringIO(), width=30)
    print_whole(console, made)
    assert isinstance(console.file, StringIO)
    written = console.file.getvalue()
    parts = written.count("way")
    assert parts > 1
    assert written.count("from scratch") == parts
    assert all(written.count(f"{number}.25") == 1 for number in range(8))


def test_title_and_caption_of_a_narrow_table_have_the_width_of_the_console() -> None:
    """Lines of text are as long as the console is wide, up to a page, however narrow the table between them is."""
    made = new_table("a title of more words than fit above a narrow table")
    made.add_column("n")
    made.add_row("1")
    made.caption = "word " * 60
    for width, longest in ((80, 80), (300, WIDEST)):
        console = Console(file=StringIO(), width=width)
        print_whole(console, made)
        assert isinstance(console.file, StringIO)
        lines = console.file.getvalue().splitlines()
        assert lines[0].rstrip() == made.title
        assert longest - 5 <= max(len(line.rstrip()) for line in lines) <= longest


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
