"""Structure: how much more of each category an estimator keeps than its position explains."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from tokimp.errors import SchemaError
from tokimp.report.number_texts import FEWEST_FOR_AN_INTERVAL, chains_text
from tokimp.report.plot.fonts import drawable
from tokimp.report.plot.label_lines import two_lines
from tokimp.report.plot.rows import ROW_MM
from tokimp.report.plot.style import (
    INK,
    LINE,
    PAPER,
    QUIET,
    SMALL,
    foot,
    head,
    new_axes,
    prepare,
    run_text,
    styled,
)
from tokimp.results.analysis_nodes import analysis_node

_LARGEST = 6.0  # points, of the greatest marker
_MORE, _LESS = "#b35806", "#2b5f9e"


@styled
def structure(
    result: xr.DataTree, keep_ratio: float = 0.5, ax: Axes | None = None, *, node_name: str = "structure"
) -> Axes:
    """Draw how much more, or less, of each category an estimator keeps than keeping by position alone would.

    A triangle that points up stands for more, one that points down for less. Its area shows how much, and it is hollow
    where the interval includes 0. The category with most tokens is on the left; the bars above show how many it has.

    Parameters
    ----------
    result
        A result that the analysis has been run on.
    keep_ratio
        The keep ratio to show, or the nearest one that was computed.
    ax
        Axes to draw on; by default those of a new figure, 85 mm wide.
    node_name
        Name of the node (`tokimp.results.analysis_nodes.node_name`).

    Returns
    -------
    matplotlib.axes.Axes
        The axes drawn on.

    Raises
    ------
    SchemaError
        If the analysis has not been run, or an older version ran it.
    """
    node = analysis_node(result, node_name)
    if "excess_chains" not in node:
        raise SchemaError(
            "the structure of this result does not say how much estimators keep beyond position: an older tokimp "
            "computed it; run tokimp.analyze(result, 'structure') on it again"
        )
    at = node.sel(keep_ratio=keep_ratio, method="nearest")
    tokens = node["tokens"].to_numpy()
    columns = [int(place) for place in np.argsort(-tokens, kind="stable") if tokens[place]]
    rows = _order(at)
    labels = [str(node["estimator"].to_numpy()[row]) for row in rows]
    axis = new_axes(ax, 62 + ROW_MM * max(2, len(rows)))
    largest = _draw_marks(axis, at, rows, columns)
    _name_rows(axis, node, labels, columns)
    used = int(node["chains_used"].max())
    ratio, source = float(at["keep_ratio"]), str(node.attrs["categorizer"])
    title = f"Structure: share kept beyond position, keep ratio {ratio:g}"
    head([axis], ax, title, run_text(result), f"{chains_text(used, node.attrs['confidence'])}; {source}")
    feet = [
        f"\u25b2 keeps more than its position explains, \u25bc less; the largest is {largest:.2f} of the tokens."
        if np.isfinite(largest)
        else "",
        "Hollow: the interval includes 0." if used >= FEWEST_FOR_AN_INTERVAL else "",
        "\u00d7: not known: no units that differ." if bool(at["excess"].isnull().any()) else "",
        "Bars: tokens of the category.",
    ]
    foot([axis], ax, *feet, drawn=[*labels, *map(str, node["category"].to_numpy())])
    return axis


def _order(at: xr.Dataset) -> list[int]:
    """Return the places of the estimators, those first that keep most beyond position in any category."""
    strength = abs(at["excess"]).max("category").fillna(-1.0).to_numpy()
    return [int(place) for place in np.argsort(-strength, kind="stable")]


def _draw_marks(axis: Axes, at: xr.Dataset, rows: list[int], columns: list[int]) -> float:
    """Draw a mark for each estimator and category, and return the greatest absolute excess; NaN without any."""
    excess = at["excess"].transpose("estimator", "category").to_numpy()[np.ix_(rows, columns)]
    low, high = (
        at[f"excess_{end}"].transpose("estimator", "category").to_numpy()[np.ix_(rows, columns)]
        for end in ("low", "high")
    )
    counts = at["excess_chains"].transpose("estimator", "category").to_numpy()[np.ix_(rows, columns)]
    known = np.abs(excess[np.isfinite(excess)])
    largest = float(known.max(initial=0.0)) or 1.0
    for row, column in np.ndindex(*excess.shape):
        value = excess[row, column]
        if not np.isfinite(value):
            axis.plot(column, row, "x", color=LINE, markersize=2.5, markeredgewidth=0.7)
            continue
        told = counts[row, column] >= FEWEST_FOR_AN_INTERVAL and (low[row, column] > 0 or high[row, column] < 0)
        colour = _MORE if value > 0 else _LESS
        axis.plot(
            column,
            row,
            "^" if value > 0 else "v",
            markersize=max(1.4, _LARGEST * np.sqrt(abs(value) / largest)),
            color=colour,
            markerfacecolor=colour if told else PAPER,
            markeredgewidth=0.6,
        )
    return float(known.max()) if known.size else float("nan")


def _name_rows(axis: Axes, node: xr.Dataset, labels: list[str], columns: list[int]) -> None:
    """Name rows and columns, and draw the bars of tokens above the columns."""
    names = [drawable(str(node["category"].to_numpy()[column]))[0] for column in columns]
    counts = node["tokens"].to_numpy()[columns]
    prepare(axis, "")
    bars = 1.6 if len(labels) <= 6 else 2.2
    for place, count in enumerate(counts):
        axis.bar(place, -bars * count / counts.max(), width=0.5, bottom=-0.8, color="#b8b8b8", linewidth=0)
        axis.text(place, -0.9 - bars * count / counts.max(), str(int(count)), ha="center", fontsize=SMALL, color=QUIET)
    for border in range(len(labels)):
        axis.axhline(border, color=LINE, linewidth=0.3, zorder=0)
    axis.set_xlim(-0.6, len(columns) - 0.4)
    axis.set_ylim(len(labels) - 0.4, -1.9 - bars)
    axis.set_yticks(range(len(labels)), two_lines([drawable(label)[0] for label in labels]), parse_math=False)
    axis.set_xticks(range(len(columns)), names, rotation=90, parse_math=False, color=INK)
    axis.tick_params(length=0)
    for side in ("left", "bottom"):
        axis.spines[side].set_visible(False)
    axis.set_xlabel("category of tokens")
