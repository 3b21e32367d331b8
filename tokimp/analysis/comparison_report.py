"""What `tokimp compare` prints: a summary, the agreement of the estimators, their diagnostics and their cost."""

from __future__ import annotations

import json

import xarray as xr
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tokimp.analysis.agreement.report import _agreement, agreement_table
from tokimp.report.tables import cost_table, diagnostics_table, summary_line
from tokimp.report.terminal import (
    console_for,
    print_whole,
    table_widths,
)


def print_report(result: xr.DataTree, console: Console | None = None) -> None:
    """Print a summary, both agreement tables (where there are two estimators) and the cost table.

    Parameters
    ----------
    result
        A result with the node ``/analysis/agreement``.
    console
        Where to; standard output by default.
    """
    tables = [cost_table(result)]
    diagnostics = diagnostics_table(result)
    if diagnostics.row_count:
        tables.append(diagnostics)
    agreements: list[Table] = []
    if result.sizes["estimator"] > 1:
        agreements = [agreement_table(result, partial=partial) for partial in (False, True)]
    console = console or console_for([*agreements, *tables])
    console.print(escape(summary_line(result)), highlight=False)
    for record in json.loads(result.attrs["skipped"]):
        console.print(escape(f"  left out: {record['where']}: {record['reason']}"), highlight=False)
    for partial, whole in zip((False, True), agreements, strict=False):
        _print_agreement(console, result, whole, partial=partial)
    for table in tables:
        print_whole(console, table)


def _print_agreement(console: Console, result: xr.DataTree, whole: Table, *, partial: bool) -> None:
    """Print an agreement table; where the console is too narrow for all measures, as several tables."""
    if table_widths(console, whole).minimum <= console.width:
        print_whole(console, whole)
        return
    measures = _agreement(result)["measure"].to_numpy().tolist()
    for begin in range(0, len(measures), 2):
        print_whole(console, agreement_table(result, partial=partial, measures=measures[begin : begin + 2]))
