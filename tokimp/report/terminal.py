"""Tables on a terminal: no word is split and nothing is cut off, however narrow it is."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import xarray as xr
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Column, Table
from rich.text import Text

FEWEST_FOR_AN_INTERVAL = 5


def new_table(title: str) -> Table:
    """Return an empty table in the style of all of them."""
    return Table(title=title, title_justify="left", caption_justify="left", box=SIMPLE_HEAD, pad_edge=False)


def keep_words_whole(table: Table) -> Table:
    """Return the table with columns that are never narrower than their longest word, which a line break would split."""
    for column in table.columns:
        column.min_width = max(len(word) for cell in _texts(column) for word in cell.split())
    return table


def _texts(column: Column) -> list[str]:
    return [Text.from_markup(str(cell)).plain for cell in (column.header, *column.cells)]


def console_for(tables: Sequence[Table]) -> Console:
    """Return a console on standard output; where that is no terminal, as wide as the tables are."""
    console = Console()
    if console.is_terminal or "COLUMNS" in os.environ:
        return console
    return Console(width=max(console.width, *(table_widths(console, table).maximum for table in tables)))


def table_widths(console: Console, table: Table) -> Measurement:
    """Return the least width at which no word of a table is broken, and the one at which nothing is folded."""
    return Measurement.get(console, console.options.update_width(10_000), table)


def print_whole(console: Console, table: Table) -> None:
    """Print a table without cutting anything off, even where that makes its lines longer than the console's."""
    widths = table_widths(console, table)
    width = max(console.width, widths.minimum)
    if width < widths.maximum:
        # rich would narrow all columns alike, some below their longest word: what is to spare goes to the last first.
        spare = width - widths.minimum
        for column in reversed(table.columns):
            least = column.min_width or 0
            column.width = min(max(map(len, _texts(column))), least + spare)
            spare -= column.width - least
    # rich holds every print to the console's own width.
    before, console.width = console.width, width
    console.print(table, crop=False)
    console.width = before


def interval_text(mean: float, low: float, high: float, n_values: int) -> str:
    """Return a mean with its interval, left out where it is not finite or rests on fewer than five values."""
    if not np.isfinite(low) or few_chains(n_values):
        return number_text(mean)
    # No space within the brackets: on a narrow terminal the interval goes below the mean in one piece.
    return f"{number_text(mean)} [dim]\\[{number_text(low)},{number_text(high)}][/]"


def interval_of(node: xr.Dataset, name: str = "", n_values: int | None = None) -> str:
    """Return one mean of an analysis's node with its interval, as `interval_text` writes it.

    Parameters
    ----------
    node
        One cell of the node: its variables have no dimension left.
    name
        The mean is the variable ``NAME_mean`` or, where there is none, ``NAME``; its interval goes from ``NAME_low`` to
        ``NAME_high``. An empty name stands for ``mean``, ``low`` and ``high``.
    n_values
        How many values the mean is over; the node's ``chains_used`` by default.
    """
    count = int(node["chains_used"]) if n_values is None else n_values
    prefix = f"{name}_" if name else ""
    mean = f"{prefix}mean" if f"{prefix}mean" in node else name
    value, low, high = (float(node[variable]) for variable in (mean, f"{prefix}low", f"{prefix}high"))
    return interval_text(value, low, high, count)


def few_chains(n_chains: int) -> bool:
    """Return whether so few chains say nothing about others, and have no interval."""
    return n_chains < FEWEST_FOR_AN_INTERVAL


def mean_text(confidence: float, n_values: int) -> str:
    """Return what a table of means over chains shows: intervals too, unless all of its means rest on too few chains."""
    return "mean over chains" if few_chains(n_values) else f"mean, {confidence:.0%} interval over chains"


def chains_text(n_chains: int, confidence: float) -> str:
    """Return over how many chains a figure is, and whether it has intervals."""
    if few_chains(n_chains):
        return f"{n_chains} chain{'' if n_chains == 1 else 's'}, too few for intervals"
    return f"{n_chains} chains, {confidence:.0%} intervals"


def number_text(value: float) -> str:
    """Return a number with two decimals; a dash where it is not finite."""
    # Adding 0 after rounding turns a negative zero into zero.
    return f"{round(value, 2) + 0.0:.2f}" if np.isfinite(value) else "-"
