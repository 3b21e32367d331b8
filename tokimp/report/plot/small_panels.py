"""Small panels with the same scales, one an estimator, in place of many lines over each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from tokimp.chains.arrays import FloatArray
from tokimp.report.plot.fonts import drawable
from tokimp.report.plot.label_lines import two_lines
from tokimp.report.plot.style import BAND, NORMAL, QUIET, SMALL, Panels, ShownAxes, ShownFigure, prepare, text_inches

PANEL_MM = 18.0


def columns_for(n_panels: int) -> int:
    """Return the number of columns of a grid of small panels, which fits a printed column."""
    return min(n_panels, 2 if n_panels <= 4 else 3 if n_panels <= 12 else 4)


def panels_height(n_panels: int, extra_mm: float = 22) -> float:
    """Return the height of a figure with these small panels, in millimetres."""
    n_panels = max(1, n_panels)
    each = PANEL_MM + 6 if n_panels <= 4 else PANEL_MM if n_panels <= 12 else 0.8 * PANEL_MM
    return extra_mm + -(-n_panels // columns_for(n_panels)) * each


def draw_small_panels(
    figure: ShownFigure | SubFigure,
    labels: Sequence[str],
    draw: Callable[[Axes, str], None],
    *,
    xlabel: str,
    ylabel: str,
) -> Panels:
    """Draw a grid of small panels that share both axes.

    Parameters
    ----------
    figure
        Where to draw.
    labels
        Names of the panels, in reading order.
    draw
        Called with each panel and its name.
    xlabel, ylabel
        What the axes show, with units.
    """
    columns = columns_for(len(labels))
    rows = -(-len(labels) // columns)
    panels: list[Axes] = []
    # A sixth of the width is for numbers and the label of the y axis.
    whole = figure.get_figure(root=True)
    assert whole is not None  # noqa: S101 - a figure is in itself
    fits = text_inches(xlabel, NORMAL) < 0.84 * figure.bbox.width / whole.dpi / columns
    for place, (label, title) in enumerate(zip(labels, panel_titles(labels, columns), strict=True)):
        shared = {"sharex": panels[0], "sharey": panels[0]} if panels else {}
        axis = figure.add_subplot(rows, columns, place + 1, axes_class=ShownAxes, **shared)
        prepare(axis)
        draw(axis, label)
        axis.set_title(title, loc="left", fontsize=SMALL, pad=2, parse_math=False)
        is_left, is_lowest = place % columns == 0, place + columns >= len(labels)
        axis.tick_params(labelleft=is_left, labelbottom=is_lowest)
        if place // columns == rows - 1 and (fits or place % columns == 0):
            # A label wider than its panel is written once: it reaches below the next panels, which have none.
            axis.set_xlabel(xlabel, loc="center" if fits else "left")
        panels.append(axis)
    figure.supylabel(ylabel, fontsize=NORMAL, parse_math=False)
    return Panels(panels)


def panel_titles(labels: Sequence[str], columns: int) -> list[str]:
    """Return the titles of small panels, in two lines where one would run into the next panel."""
    longest = {1: 70, 2: 32, 3: 20, 4: 15}[columns]
    return two_lines([drawable(label)[0] for label in labels], longest, longest)


def draw_band(axis: Axes, x: FloatArray, low: FloatArray, high: FloatArray, mean: FloatArray) -> None:
    """Draw what random orders give: grey from the lowest to the highest draw, and their mean as a dashed line."""
    axis.fill_between(x, low, high, facecolor=BAND, edgecolor="#b0b0b0", linewidth=0.4, zorder=0.5)
    axis.plot(x, mean, color=QUIET, linewidth=0.6, linestyle=(0, (2, 2)), zorder=0.6)


def draw_curve(
    axis: Axes, x: FloatArray, mean: FloatArray, low: FloatArray, high: FloatArray, *, colour: str, dashed: bool = False
) -> None:
    """Draw a curve with the intervals of its means as a light band of its own colour."""
    style = (0, (3, 1.2)) if dashed else "-"
    axis.plot(x, mean, color=colour, linewidth=1.1, linestyle=style)
    known = np.isfinite(low) & np.isfinite(high)
    axis.fill_between(x, low, high, where=known, color=colour, alpha=0.22, linewidth=0)
