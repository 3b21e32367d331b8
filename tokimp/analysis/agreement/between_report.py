"""Table and figure of the agreement of each estimator with itself in another result."""

from __future__ import annotations

import xarray as xr
from matplotlib.figure import Figure
from rich.markup import escape
from rich.table import Table

from tokimp.analysis.agreement.report import followers_of_position, followers_text
from tokimp.analysis.agreement.row_panels import PANELS, draw_marks, draw_row_panels, mark_undefined_rows
from tokimp.report.figure_style import finish
from tokimp.report.number_texts import chains_text, interval_of, mean_text
from tokimp.report.terminal import keep_words_whole, new_table
from tokimp.results.analysis_nodes import analysis_node


def agreement_between_table(result: xr.DataTree, *, node_name: str = "agreement_between") -> Table:
    """Return a table of each estimator's mean correlation with itself in the other result, one row an estimator.

    Parameters
    ----------
    result
        A result that the analysis has been run on.
    node_name
        Name of the node (`tokimp.results.analysis_nodes.node_name`).

    Raises
    ------
    SchemaError
        If the analysis has not been run.
    """
    node = analysis_node(result, node_name)
    table = new_table(f"Spearman correlation with {escape(_other_text(node))}")
    table.add_column("estimator")
    for heading in (*(title for _, title in PANELS), "chains"):
        table.add_column(heading, justify="right")
    labels = [str(label) for label in node["common"].to_numpy()]
    for label in labels:
        row = node.sel(common=label)
        cells = [interval_of(row.sel(partial=partial)) for partial, _ in PANELS]
        table.add_row(escape(label), *cells, str(int(row["chains_used"].max())))
    itself = {label: node["chains_used"].sel(common=label) for label in labels}
    what = mean_text(node.attrs["confidence"], int(node["chains_used"].max()))
    table.caption = "; ".join([what, *followers_text(followers_of_position(itself), "a dash for")])
    return keep_words_whole(table)


def draw_agreement_between(result: xr.DataTree, *, node_name: str = "agreement_between") -> Figure:
    """Draw each estimator's mean correlation with itself in the other result: a row an estimator, with its interval.

    The left panel shows it as it is, the right one with position partialled out.

    Parameters
    ----------
    result
        A result that the analysis has been run on.
    node_name
        Name of the node (`tokimp.results.analysis_nodes.node_name`).

    Raises
    ------
    SchemaError
        If the analysis has not been run.
    """
    node = analysis_node(result, node_name)
    labels = [str(label) for label in node["common"].to_numpy()]
    figure, axes = draw_row_panels(labels, 0.4)
    for axis, (partial, _) in zip(axes, PANELS, strict=True):
        rows = [node.sel(common=label, partial=partial) for label in labels]
        draw_marks(axis, rows, 0, 1)
        mark_undefined_rows(axis, rows)
    note = chains_text(int(node["chains_used"].max()), node.attrs["confidence"])
    finish(figure, axes[0], f"agreement with {_other_text(node)}\n{note}")
    return figure


def _other_text(node: xr.Dataset) -> str:
    """Return the other result's name, and the recorded differences from it."""
    difference = str(node.attrs["difference"])
    if difference == "none":
        return f"{node.attrs['other']}, from which nothing that is recorded differs"
    return f"{node.attrs['other']}, which differs in {difference}"
