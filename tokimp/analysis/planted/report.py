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
from tokimp.results.views import analysis_node

_MEASURES = {"auroc": "AUROC", "average_precision": "average precision"}


def planted_table(result: xr.DataTree) -> Table:
    """Return a table of AUROC and average precision by unit and sentence, and of AUROC within stretches of position.

    Raises
    ------
    SchemaError
        If the analysis has not been run.
    """
    node = analysis_node(result, "planted")
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
        within_bands = interval_of(row, "within_bands", int(row["chains_used"].max()))
        table.add_row(escape(str(label)), *cells, within_bands)
    chance = [number_text(float(node["prevalence"].sel(level=level))) for level in ("unit", "sentence")]
    table.add_section()
    table.add_row("[dim]chance[/]", "0.50", chance[0], "0.50", chance[1], "0.50")
    table.caption = f"over {used} of {node.sizes['chain']} chains, which hold filler and something else"
    return keep_words_whole(table)


def draw_planted(result: xr.DataTree) -> Figure:
    """Draw each estimator's AUROC with its interval, by unit, by sentence, and within stretches of position.

    Raises
    ------
    SchemaError
        If the analysis has not been run.
    """
    node = analysis_node(result, "planted")
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
