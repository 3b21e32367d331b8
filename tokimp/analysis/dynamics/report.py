"""Table and figure of the dynamics: how well the next deletions are predicted, over the context ratio."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.markup import escape
from rich.table import Table

from tokimp.analysis.dynamics.predictors import FROZEN, LOCAL, RANDOM, predictor_names
from tokimp.report.figure_style import PAPER, finish, line_look
from tokimp.report.number_texts import FEWEST_FOR_AN_INTERVAL, chains_text, interval_of
from tokimp.report.terminal import keep_words_whole, new_table
from tokimp.results.analysis_nodes import analysis_node

# Looks of the predictions that are no estimator's: greys and markers that `line_look` does not use.
_LOOKS: dict[str, dict[str, Any]] = {
    LOCAL: {"color": "#3c3c3c", "marker": ">", "linestyle": "-", "zorder": 3},
    # Above the estimators' lines: leave-one-out gives the same numbers, and would hide it.
    FROZEN: {"color": "#7a7a7a", "marker": "<", "linestyle": "--", "zorder": 3},
    RANDOM: {"color": "#b0b0b0", "marker": "p", "linestyle": ":", "zorder": 3},
}


def dynamics_table(result: xr.DataTree, k: int = 5, *, node_name: str = "dynamics") -> Table:
    """Return a table of the share of the next k deletions that each prediction has, and of its rank correlation.

    Parameters
    ----------
    result
        A result with the node ``/analysis/dynamics``.
    k
        The k to show, or the nearest one that was computed.
    node_name
        Name of the node (`tokimp.results.analysis_nodes.node_name`).

    Raises
    ------
    SchemaError
        If the analysis has not been run.
    """
    node = analysis_node(result, node_name)
    at = node.sel(k=k, method="nearest")
    table = new_table(
        f"Dynamics: share of the next {int(at['k'])} deletions of {escape(str(node.attrs['path']))} predicted, and "
        "rank correlation over what is left"
    )
    table.add_column("context ratio", justify="right")
    predictors = [str(name) for name in node["predictor"].to_numpy()]
    for name in predictors:
        table.add_column(escape(name), justify="right")
    most = int(at["overlap_chains"].max())
    for ratio in node["context_ratio"].to_numpy():
        cells = [at.sel(predictor=name, context_ratio=ratio) for name in predictors]
        # Short chains drop out as fewer units are left, so that a row may be about other chains than the one above.
        count = max(int(cell["overlap_chains"]) for cell in cells)
        heading = f"{ratio:.1f}" + (f" [dim](over {count})[/]" if 0 < count < most else "")
        table.add_row(heading, *(interval_of(cell, "overlap", int(cell["overlap_chains"])) for cell in cells))
        table.add_row(
            "[dim]correlation[/]",
            *(interval_of(cell, "correlation", int(cell["correlation_chains"])) for cell in cells),
        )
    counts = at["overlap_chains"].to_numpy()
    feet = [f"over at most {chains_text(int(counts.max()), node.attrs['confidence'])}"]
    table.caption = "; ".join([*feet, *_reasons_of_dashes(at)])
    return keep_words_whole(table)


def _reasons_of_dashes(node: xr.Dataset) -> list[str]:
    """Return why some predictions have no value for one k: the path is too short, or the prediction is undefined.

    Random orders never rank all units alike, so they have a value exactly where the path is long enough.
    """
    counts = node[["overlap_chains", "correlation_chains"]].to_dataarray("measure")
    path_is_long_enough = counts.sel(predictor=RANDOM) > 0
    reasons = []
    if not path_is_long_enough.all():
        reasons.append("a dash in all columns: too little of the path follows; a correlation needs all of it")
    undefined = (path_is_long_enough & (counts == 0)).any(("measure", "context_ratio"))
    labels = [escape(str(label)) for label in node["predictor"].to_numpy()[undefined.to_numpy()]]
    if labels:
        reasons.append(f"a dash of {' and '.join(labels)} alone: what is left is ranked alike, or not at all")
    return reasons


def draw_dynamics(result: xr.DataTree, *, node_name: str = "dynamics") -> Figure:
    """Draw overlap for each k, and rank correlation, over the context ratio; one line a prediction.

    An estimator has the look that it has in the other figures of the result, by its place among the estimators.

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
    labels = [str(label) for label in result["estimator"].to_numpy()]
    names = predictor_names(labels, str(node.attrs["path"]))
    looks = {**_LOOKS, **{name: line_look(labels.index(label)) for label, name in names.items()}}
    depths = node["k"].to_numpy().tolist()
    figure = Figure(figsize=(3.2 * (len(depths) + 1), 4.2), facecolor=PAPER, layout="constrained")
    axes = figure.subplots(1, len(depths) + 1, squeeze=False)[0]
    for axis, k in zip(axes, depths, strict=False):
        _draw(axis, node.sel(k=k), "overlap", looks)
        axis.set_title(f"next {k}: share predicted", fontsize=9)
        axis.set_ylim(-0.03, 1.03)
    _draw(axes[-1], node, "correlation", looks)
    axes[-1].set_title("all that is left: rank correlation", fontsize=9)
    if not node["correlation_chains"].any():
        axes[-1].text(0.5, 0.5, "none: no path goes to the end", fontsize=8, ha="center", transform=axes[-1].transAxes)
        axes[-1].set(xticks=[], yticks=[])
    used = chains_text(int(node["overlap_chains"].max()), node.attrs["confidence"])
    finish(figure, axes[0], f"path of {node.attrs['path']}; {used}")
    return figure


def _draw(axis: Axes, node: xr.Dataset, name: str, looks: Mapping[str, dict[str, Any]]) -> None:
    """Draw one quantity of the node over the context ratio, a line with its interval for each prediction."""
    for predictor in node["predictor"].to_numpy():
        line = node.sel(predictor=predictor)
        ratios, mean = line["context_ratio"].to_numpy(), line[f"{name}_mean"].to_numpy()
        look = looks[str(predictor)]
        axis.plot(ratios, mean, **look, markersize=3, label=str(predictor))
        enough = line[f"{name}_chains"].to_numpy() >= FEWEST_FOR_AN_INTERVAL
        low, high = (np.where(enough, line[f"{name}_{end}"].to_numpy(), np.nan) for end in ("low", "high"))
        axis.fill_between(ratios, low, high, color=look["color"], alpha=0.15, linewidth=0)
    axis.set_xlabel("context ratio", fontsize=9)
    axis.tick_params(labelsize=8)
    axis.grid(alpha=0.3)
    axis.invert_xaxis()
