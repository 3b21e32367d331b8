"""Tables on a terminal: no word is split and nothing is cut off, however narrow it is."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderableType
from rich.errors import MarkupError
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Column, Table
from rich.text import Text, TextType

from tokimp.chains.visible_text import visible

WIDEST = 100
"""Columns of output that goes to no terminal: as many as an editor or a page shows."""


class TerminalConsole(Console):
    """A console of rich that shows every control character of a text instead of sending it to the terminal.

    Text that looks like rich's markup and is none, such as an id ``[/]`` that nobody escaped, is shown as it is.
    """

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a text as rich shows it, with its control characters written out."""
        try:
            return super().render_str(visible(text), **options)
        except MarkupError:
            return super().render_str(visible(text), **{**options, "markup": False})

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the segments of anything rich can show; control characters in their text are written out."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)


class PartedTable(Table):
    """A table that may be printed in parts, and that knows which of its columns belong to the column before them.

    Attributes
    ----------
    bound
        Places of the columns that are printed in the same part as the column before them.
    """

    def __init__(self, title: str) -> None:
        super().__init__(title=title, title_justify="left", caption_justify="left", box=SIMPLE_HEAD, pad_edge=False)
        self.bound = set[int]()

    def add_bound_column(self, header: str) -> None:
        """Add a column of numbers that means little without the column before it."""
        self.bound.add(len(self.columns))
        self.add_column(header, justify="right")


def new_table(title: str) -> PartedTable:
    """Return an empty table in the style of all tables of tokimp."""
    return PartedTable(title)


def keep_words_whole(table: Table) -> Table:
    """Return the table; its columns are from now on never narrower than their longest word."""
    for column in table.columns:
        parts = [part for cell in _texts(column) for part in ([cell] if column.no_wrap else cell.split())]
        column.min_width = max(map(len, parts), default=0)
    return table


def _texts(column: Column) -> list[str]:
    return [_plain(str(cell)) for cell in (column.header, *column.cells)]


def _plain(cell: str) -> str:
    try:
        return visible(Text.from_markup(cell).plain)
    except MarkupError:
        return visible(cell)


def console_for(tables: Sequence[Table]) -> Console:
    """Return a console on standard output.

    If that is a file or a pipe, the console is as wide as the widest table, but not wider than `WIDEST` columns.
    """
    console = TerminalConsole()
    if console.is_terminal or "COLUMNS" in os.environ:
        return console
    widest = max((table_widths(console, table).maximum for table in tables), default=0)
    return TerminalConsole(width=max(console.width, min(WIDEST, widest)))


def table_widths(console: Console, table: Table) -> Measurement:
    """Return the least width of a table that breaks no word, and the least at which every cell fits on one line."""
    return Measurement.get(console, console.options.update_width(10_000), table)


def print_whole(console: Console, table: Table) -> None:
    """Print a table without cutting anything off.

    A table that is too wide is printed in parts, each with the columns that name the rows. Lines become longer than the
    console's only where a single column is.
    """
    # A column without a least width would be cut down to its first letters.
    if any(column.min_width is None for column in table.columns):
        keep_words_whole(table)
    for part in table_parts(console, table):
        _print_part(console, part)


def table_parts(console: Console, table: Table) -> list[Table]:
    """Return a table in parts that are no wider than a console; the table itself if it is not too wide.

    Each part has the columns on the left that name the rows: those before the first column of numbers, which is
    justified to the right. Columns that are bound to the one before them stay beside it. The last part has the caption.
    """
    if table_widths(console, table).minimum <= console.width:
        return [table]
    first_number = next((place for place, column in enumerate(table.columns) if column.justify == "right"), 1)
    n_names = max(1, first_number)
    names = range(n_names)
    groups: list[list[int]] = []
    for places in _places_together(table, n_names):
        fits = groups and table_widths(console, _part(table, [*names, *groups[-1], *places])).minimum <= console.width
        if fits:
            groups[-1] += places
        else:
            groups.append(places)
    if len(groups) < 2:
        return [table]
    parts = [_part(table, [*names, *group]) for group in groups]
    for number, part in enumerate(parts, start=1):
        part.title = f"{table.title} ({number} of {len(parts)})"
    parts[-1].caption = table.caption
    return parts


def _places_together(table: Table, first: int) -> list[list[int]]:
    """Return the places of a table's columns from the first on, each with those of the columns bound to it."""
    bound = table.bound if isinstance(table, PartedTable) else ()
    together: list[list[int]] = []
    for place in range(first, len(table.columns)):
        if place in bound and together:
            together[-1].append(place)
        else:
            together.append([place])
    return together


def _part(table: Table, places: Sequence[int]) -> Table:
    """Return a table of some of another's columns, without title and caption."""
    part = new_table("")
    part.padding = table.padding
    cells = []
    for place in places:
        column = table.columns[place]
        part.add_column(column.header, justify=column.justify, no_wrap=column.no_wrap, min_width=column.min_width)
        cells.append(list(column.cells))
    for row, texts in zip(table.rows, zip(*cells, strict=True), strict=True):
        part.add_row(*texts, end_section=row.end_section)
    return part


def _print_part(console: Console, table: Table) -> None:
    widths = table_widths(console, table)
    width = max(console.width, widths.minimum)
    if width < widths.maximum:
        # rich would narrow all columns alike, some below their longest word. Here the last columns get the spare width.
        spare = width - widths.minimum
        for column in reversed(table.columns):
            least = column.min_width or 0
            column.width = min(max(map(len, _texts(column))), least + spare)
            spare -= column.width - least
    # rich never prints wider than the console itself, so that the console is widened for this one table.
    usual_width, console.width = console.width, width
    title, caption = table.title, table.caption
    table.title = table.caption = None
    # rich would fold title and caption to the width of the table, which may be a few columns.
    text_width = max(min(width, WIDEST), min(width, widths.maximum))
    _print_beside(console, title, "table.title", text_width)
    console.print(table, crop=False)
    _print_beside(console, caption, "table.caption", text_width)
    table.title, table.caption, console.width = title, caption, usual_width


def _print_beside(console: Console, text: TextType | None, style: str, width: int) -> None:
    """Print the title or the caption of a table."""
    if text:
        shown = console.render_str(text, style=style, highlight=False) if isinstance(text, str) else text
        console.print(shown, width=width, crop=False)
