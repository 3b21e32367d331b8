"""The report that `tokimp compare` prints: summary, agreement of the estimators, their cost and their diagnostics."""

from __future__ import annotations

import json
from collections.abc import Callable

import xarray as xr
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tokimp.analysis.agreement.beyond_place_report import agreement_tables
from tokimp.analysis.agreement.report import no_agreement_text
from tokimp.analysis.agreement.summary_matrix import FEWEST_ESTIMATORS, summary_matrix
from tokimp.report.answer_share import answer_share_warning
from tokimp.report.tables import cost_table, diagnostics_table, summary_line
from tokimp.report.terminal import console_for, print_whole, table_widths
from tokimp.results.analysis_nodes import analysis_node

MOST_IN_PAIRS = 8
"""Estimators of which every pair is printed: 28 pairs; with more, a matrix and a sentence."""
MOST_LEFT_OUT = 5
"""Records left out of which each is printed."""


def print_report(result: xr.DataTree, console: Console | None = None, *, agreement: str = "agreement") -> None:
    """Print a summary, the agreement tables, the costs, and the diagnostics if there are any.

    Parameters
    ----------
    result
        A result; with two or more estimators it must have a node of the analysis ``agreement``.
    console
        Console to print to; standard output by default.
    agreement
        Name of that node (`tokimp.results.analysis_nodes.node_name`).

    Raises
    ------
    SchemaError
        If there are two or more estimators, and their agreement has not been computed.
    """
    tables = [cost_table(result)]
    diagnostics = diagnostics_table(result)
    if diagnostics.row_count:
        tables.append(diagnostics)
    agreements: list[tuple[Callable[..., Table], Table]] = []
    none_agree = ""
    if result.sizes["estimator"] > 1:
        none_agree = no_agreement_text(result, agreement)
    if result.sizes["estimator"] > 1 and not none_agree:
        agreements = [
            (make_table, make_table(result, node_name=agreement)) for make_table in agreement_tables(result, agreement)
        ]
    console = console or console_for([*(table for _, table in agreements), *tables])
    console.print(escape(summary_line(result)), highlight=False)
    _print_left_out(console, json.loads(result.attrs["skipped"]))
    if warning := answer_share_warning(result):
        console.print(escape(warning), highlight=False)
    if none_agree:
        console.print(escape(none_agree), highlight=False)
    if agreements:
        _print_agreements(console, result, agreements, agreement)
    for table in tables:
        print_whole(console, table)


def _print_left_out(console: Console, skipped: list[dict[str, str]]) -> None:
    """Print which records were left out and why; of many, the first ones and how many more there are."""
    for record in skipped[:MOST_LEFT_OUT]:
        console.print(escape(f"  left out: {record['where']}: {record['reason']}"), highlight=False)
    if (more := len(skipped) - MOST_LEFT_OUT) > 0:
        console.print(f"  and {more} more: attribute 'skipped' of the result", highlight=False)


def _print_agreements(
    console: Console, result: xr.DataTree, agreements: list[tuple[Callable[..., Table], Table]], node_name: str
) -> None:
    """Print the agreement: of few estimators every pair, of many a matrix and what is told from chance."""
    n_estimators = result.sizes["estimator"]
    if n_estimators >= FEWEST_ESTIMATORS:
        print_whole(console, summary_matrix(result, node_name=node_name))
    if n_estimators <= MOST_IN_PAIRS:
        for make_table, table in agreements:
            _print_agreement(console, result, table, make_table, node_name=node_name)
        return
    # Hundreds of rows are not read: the matrix and the sentence below the last table say what they would.
    console.print(str(agreements[-1][1].caption or ""), highlight=False)
    n_pairs = n_estimators * (n_estimators - 1) // 2
    console.print(f"All {n_pairs} pairs, with intervals: tokimp analyze RUN agreement", highlight=False)


def _print_agreement(
    console: Console, result: xr.DataTree, table: Table, make_table: Callable[..., Table], *, node_name: str
) -> None:
    """Print an agreement table, in several tables if the console is too narrow for all measures."""
    if table_widths(console, table).minimum <= console.width:
        print_whole(console, table)
        return
    measures = analysis_node(result, node_name)["measure"].to_numpy().tolist()
    parts = [measures[begin : begin + 2] for begin in range(0, len(measures), 2)]
    for number, part in enumerate(parts, start=1):
        shown = make_table(result, measures=part, node_name=node_name)
        shown.title = f"{shown.title} ({number} of {len(parts)})"
        if number < len(parts):
            shown.caption = None
        print_whole(console, shown)
