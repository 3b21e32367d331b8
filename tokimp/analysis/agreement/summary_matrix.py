"""The agreement of many estimators as one matrix that a terminal can show."""

from __future__ import annotations

import numpy as np
import xarray as xr
from rich.markup import escape
from rich.table import Table

from tokimp.report.agreement_means import Means, agreement_means, has_intervals
from tokimp.report.agreement_texts import MEASURES
from tokimp.report.number_texts import number_text
from tokimp.report.terminal import keep_words_whole, new_table
from tokimp.results.analysis_nodes import analysis_node

FEWEST_ESTIMATORS = 5
"""With fewer estimators, the table of pairs is as short as the matrix."""


def summary_matrix(result: xr.DataTree, measure: str = "spearman", *, node_name: str = "agreement") -> Table:
    """Return a matrix of every two estimators' mean agreement: as it is below the diagonal, beyond place above it.

    A star marks what is told from chance. Columns have the numbers of the rows, since names have no room.

    Parameters
    ----------
    result
        A result with the node ``/analysis/agreement``.
    measure
        The measure to show.
    node_name
        Name of the node (`tokimp.results.analysis_nodes.node_name`).

    Raises
    ------
    SchemaError
        If the agreement has not been computed.
    """
    cells = analysis_node(result, node_name).sel(measure=measure)
    as_it_is, beyond = agreement_means(cells)
    labels = [str(label) for label in cells["estimator"].to_numpy()]
    table = new_table(
        f"Agreement, {MEASURES.get(measure, measure)}: below the diagonal {as_it_is.name}, above it {beyond.name}"
    )
    table.padding = (0, 0, 0, 1)
    table.add_column("estimator")
    for number in range(1, len(labels) + 1):
        table.add_column(str(number), justify="right")
    for row, label in enumerate(labels):
        texts = [_cell(beyond if column > row else as_it_is, row, column) for column in range(len(labels))]
        table.add_row(f"{row + 1} {escape(label)}", *texts)
    if has_intervals(as_it_is):
        table.caption = (
            f"*: told from chance. Without: {as_it_is.rule} ({as_it_is.name}), {beyond.rule} ({beyond.name})"
        )
    else:
        table.caption = "too few chains to tell anything from chance"
    keep_words_whole(table)
    # A number and its name stay on one line.
    table.columns[0].min_width = max(len(f"{row + 1} {label}") for row, label in enumerate(labels))
    return table


def _cell(means: Means, row: int, column: int) -> str:
    if row == column:
        return ""
    mean = float(means.mean[row, column])
    if not np.isfinite(mean):
        return "-"
    is_told = has_intervals(means) and bool(means.is_told[row, column])
    return number_text(mean).replace("0.", ".") + ("*" if is_told else " ")
