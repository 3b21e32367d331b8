"""Table and figure of the planted filler: how well estimators rank it lowest."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from rich.markup import escape
from rich.table import Table

from tokimp.report.figure_style import COLOURS, MARKERS, PAPER
from tokimp.report.number_texts import few_chains, interval_of, mean_text, number_text
from tokimp.report.terminal import keep_words_whole, new_table
from tokimp.results.analysis_nodes import analysis_node

_MEASURES = {"auroc": "AUROC", "average_precision": "average precision"}


def planted_table(result: xr.DataTree, *, node_name: str = "planted") -> Table:
    """Return a table of AUROC and average precision by unit and sentence, and of AUROC within stretches of position.

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
    unit = str(result.attrs["unit"])
    used = int(node["chains_used"].max())
    shows = mean_text(node.attrs["confidence"], used)
    table = new_table(f"Planted filler: how well it is ranked lowest ({shows})")
    table.add_column("estimator")
    columns = [(measure, level) for level in ("unit", "sentence") for measure in _MEASURES]
    for measure, level in columns:
        table.add_column(f"{_MEASURES[measure]}, {unit if level == 'unit' else level}s", justify="right")
    table.add_column("AUROC within stretches", justify="right")
    for label in node["estimator"].to_numpy():
        row = node.sel(estimator=label)
        cells = [interval_of(row.sel(measure=measure, level=level)) for measure, level in columns]
        covered = int(row["chains_used"].max())
        heading = escape(str(label))
        if 0 < covered < used and "chance_mean" in row:
            own = row["chance_mean"].sel(measure="average_precision")
            numbers = " and ".join(number_text(float(own.sel(level=level))) for level in ("unit", "sentence"))
            heading += f" [dim](over {covered}; average precision by chance {numbers})[/]"
        table.add_row(heading, *cells, interval_of(row, "within_bands", covered))
    table.add_section()
    table.add_row("[dim]chance[/]", *(_chance_text(node, measure, level) for measure, level in columns), "0.50")
    table.caption = f"over {used} of {node.sizes['chain']} chains, which hold filler and something else"
    if "chance" not in node:
        table.caption += "; an older tokimp did not compute the average precision of chance: run planted again"
    return keep_words_whole(table)


def _chance_text(node: xr.Dataset, measure: str, level: str) -> str:
    """Return the mean of a measure for random orders; a dash if an older version, which got it wrong, ran planted."""
    if "chance" in node:
        return number_text(float(node["chance"].sel(measure=measure, level=level).mean()))
    return "0.50" if measure == "auroc" else "-"


def draw_planted(result: xr.DataTree, *, node_name: str = "planted") -> Figure:
    """Draw each estimator's AUROC with its interval, by unit, by sentence, and within stretches of position.

    Parameters
    ----------
    result, node_name
        As of `planted_table`.

    Raises
    ------
    SchemaError
        If the analysis has not been run.
    """
    node = analysis_node(result, node_name)
    labels = [str(label) for label in node["estimator"].to_numpy()]
    figure = Figure(figsize=(7.5, 1.4 + 0.45 * len(labels)), facecolor=PAPER, layout="constrained")
    axis = figure.subplots()
    auroc = node.sel(measure="auroc")
    series = [
        (f"by {result.attrs['unit']}", [auroc.sel(level="unit")[name].to_numpy() for name in ("mean", "low", "high")]),
        ("by sentence", [auroc.sel(level="sentence")[name].to_numpy() for name in ("mean", "low", "high")]),
        ("within stretches", [node[f"within_bands{end}"].to_numpy() for end in ("", "_low", "_high")]),
    ]
    for index, (name, (mean, low, high)) in enumerate(series):
        spread = np.clip(np.stack([mean - low, high - mean]), 0, None)
        spread[:, [few_chains(int(count)) for count in node["chains_used"].max(("measure", "level"))]] = np.nan
        height = np.arange(len(labels)) + 0.22 * (index - 1)
        axis.errorbar(mean, height, xerr=spread, fmt=MARKERS[index], color=COLOURS[index], label=name, capsize=2)
    axis.axvline(0.5, color="#7a7a7a", linestyle="--", linewidth=1)
    axis.set_yticks(range(len(labels)), labels, parse_math=False)
    axis.invert_yaxis()
    axis.set_xlabel("AUROC: filler below the rest (0.5 is chance)")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    return figure
