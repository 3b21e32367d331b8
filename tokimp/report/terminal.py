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
from rich.text import Text

from tokimp.chains.visible_text import visible


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


def new_table(title: str) -> Table:
    """Return an empty table in the style of all tables of tokimp."""
    return Table(title=title, title_justify="left", caption_justify="left", box=SIMPLE_HEAD, pad_edge=False)


def keep_words_whole(table: Table) -> Table:
    """Return the table; its columns are from now on never narrower than their longest word."""
    for column in table.columns:
        column.min_width = max(len(word) for cell in _texts(column) for word in cell.split())
    return table


def _texts(column: Column) -> list[str]:
    return [_plain(str(cell)) for cell in (column.header, *column.cells)]


def _plain(cell: str) -> str:
    try:
        return visible(Text.from_markup(cell).plain)
    except MarkupError:
        return visible(cell)


def console_for(tables: Sequence[Table]) -> Console:
    """Return a console on standard output; if that is a file or a pipe, the console is as wide as the widest table."""
    console = TerminalConsole()
    if console.is_terminal or "COLUMNS" in os.environ:
        return console
    return TerminalConsole(width=max(console.width, *(table_widths(console, table).maximum for table in tables)))


def table_widths(console: Console, table: Table) -> Measurement:
    """Return the least width of a table that breaks no word, and the least at which every cell fits on one line."""
    return Measurement.get(console, console.options.update_width(10_000), table)


def print_whole(console: Console, table: Table) -> None:
    """Print a table without cutting anything off, even if its lines become longer than the console's."""
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
    console.print(table, crop=False)
    console.width = usual_width
