"""Two panels with a row for each pair or estimator: marks with intervals, as it is and position partialled out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tokimp.report.figure_style import COLOURS, MARKERS, PAPER
from tokimp.report.number_texts import FEWEST_FOR_AN_INTERVAL

PANELS = ((False, "as it is"), (True, "position partialled out"))
"""The coordinate ``partial`` of each panel, and its title."""


def draw_row_panels(names: Sequence[str], row_inches: float) -> tuple[Figure, Sequence[Axes]]:
    """Return a figure with two panels, titled `PANELS`, over correlations from -1 to 1.

    Parameters
    ----------
    names
        Names of the rows, the first on top.
    row_inches
        Height of a row.
    """
    # In inches: room for the longest name beside the panels, and for titles and legend above and below.
    size = (7.2 + 0.075 * max(map(len, names), default=0), 1.5 + row_inches * max(1, len(names)))
    figure = Figure(figsize=size, facecolor=PAPER, layout="constrained")
    axes: Sequence[Axes] = figure.subplots(1, 2, sharey=True)
    for axis, (_, title) in zip(axes, PANELS, strict=True):
        axis.set_title(title, fontsize=9)
        axis.axvline(0, color="#7a7a7a", linestyle="--", linewidth=1)
        axis.set_xlim(-1.05, 1.05)
        axis.set_xticks([-1, -0.5, 0, 0.5, 1])
        axis.set_xlabel("Spearman correlation", fontsize=9)
        axis.tick_params(labelsize=8)
        axis.grid(alpha=0.3, axis="x")
        for border in range(1, len(names)):
            axis.axhline(border - 0.5, color="#e0e0e0", linewidth=0.8)
    axes[0].set_yticks(range(len(names)), names, fontsize=8, parse_math=False)
    axes[0].set_ylim(max(1, len(names)) - 0.5, -0.5)
    return figure, axes


def draw_marks(axis: Axes, cells: Sequence[xr.Dataset], index: int, count: int, label: str | None = None) -> None:
    """Draw one series: a mark in each row, with its interval where it rests on enough chains.

    Parameters
    ----------
    axis
        The panel.
    cells
        The cell of a node that each row shows, with ``mean``, ``low``, ``high`` and ``chains_used``.
    index, count
        Which series this is, and of how many; it decides height within the row, colour and marker.
    label
        Its name in the legend.
    """
    colour_round, place = divmod(index, len(COLOURS))
    mean, low, high = (np.array([float(cell[name]) for cell in cells]) for name in ("mean", "low", "high"))
    spread = np.clip(np.stack([mean - low, high - mean]), 0, None)
    spread[:, [int(cell["chains_used"]) < FEWEST_FOR_AN_INTERVAL for cell in cells]] = np.nan
    height = np.arange(len(cells)) + 0.8 * ((index + 0.5) / count - 0.5)
    # Series that share a colour get different markers, so that no two of the first 64 look the same.
    marker = MARKERS[(place + colour_round) % len(MARKERS)]
    look: dict[str, Any] = {"color": COLOURS[place], "marker": marker, "linestyle": "none", "markersize": 4}
    axis.errorbar(mean, height, xerr=spread, label=label, elinewidth=0.8, capsize=2, **look)


def mark_undefined_rows(axis: Axes, rows: Sequence[xr.Dataset]) -> None:
    """Write *undefined* into each row whose cells have no value on any chain."""
    for height, row in enumerate(rows):
        if not int(row["chains_used"].max()):
            axis.text(-1, height, "undefined", fontsize=7, color="#7a7a7a", va="center")
