"""Rows of marks with intervals: one row an estimator or pair, sorted, with what chance gives behind them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from tokimp.chains.arrays import FloatArray
from tokimp.report.plot.fonts import drawable
from tokimp.report.plot.label_lines import short_labels, two_lines
from tokimp.report.plot.style import (
    BAND,
    INK,
    LINE,
    NORMAL,
    PAPER,
    QUIET,
    SMALL,
    prepare,
    root_figure,
    text_inches,
    wrapped,
)

ROW_MM = 4.0
_FEW_ROWS = 12  # more are closer to each other


@dataclass(frozen=True, slots=True)
class Marks:
    """One mark in each row, with its interval.

    Attributes
    ----------
    name
        Its name in the legend; without one it is not in the legend.
    mean
        Places of the marks, [row]; NaN where there is none.
    low, high
        Ends of the intervals, [row]; NaN where there is none.
    marker
        As matplotlib names it.
    filled
        Whether the marks are filled. Marks that are not are told apart in print.
    colours
        [row]; black by default.
    """

    name: str
    mean: FloatArray
    low: FloatArray
    high: FloatArray
    marker: str = "o"
    filled: bool = True
    colours: Sequence[str] | None = None


def rows_height(labels: Sequence[str], n_marks: int = 1, extra_mm: float = 24) -> float:
    """Return the height of a figure with these rows, in millimetres."""
    lines = sum(1 + 0.6 * label.count("\n") for label in row_labels(labels, n_marks))
    each = ROW_MM + 1.2 * (n_marks - 1)
    # A page has room for two dozen rows and what is below them if they are closer.
    return extra_mm + max(2.0, lines) * (each if len(labels) <= _FEW_ROWS else 0.8 * each)


def row_labels(labels: Sequence[str], n_marks: int) -> list[str]:
    """Return labels as rows have room for them: on two lines where rows are few, or have ``n_marks`` above each other.

    A label that is broken already stays as it is.
    """
    drawn = ["\n".join(drawable(line)[0] for line in label.split("\n")) for label in labels]
    return two_lines(drawn) if len(labels) <= _FEW_ROWS or n_marks > 1 else short_labels(drawn)


def draw_rows(
    axis: Axes,
    labels: Sequence[str],
    marks: Sequence[Marks],
    xlabel: str,
    *,
    chance: float | tuple[float, float] | None = None,
    empty: Sequence[str] | None = None,
    limits: tuple[float, float] | None = None,
) -> None:
    """Draw rows of marks with intervals.

    Parameters
    ----------
    axis
        The panel.
    labels
        Names of the rows, the first on top.
    marks
        The series, each with a mark in each row.
    xlabel
        What the marks show, with its unit and which side is better.
    chance
        What chance gives: a line, or a band from the lowest to the highest random order.
    empty
        What a row says that has no mark, [row]; *no value* by default.
    limits
        The least and the greatest value that there can be; the axis is longer only if a mark lies beyond them.
    """
    prepare(axis, "x")
    _draw_chance(axis, chance)
    height = np.arange(len(labels), dtype=float)
    for border in range(1, len(labels)):
        axis.axhline(border - 0.5, color=LINE, linewidth=0.3, zorder=0)
    for index, series in enumerate(marks):
        y = height + mark_offset(index, len(marks))
        colours = series.colours or [INK] * len(labels)
        for row, colour in enumerate(colours):
            if not np.isfinite(series.mean[row]):
                continue
            if np.isfinite(series.low[row]) and np.isfinite(series.high[row]):
                ends = [series.low[row], series.high[row]]
                axis.plot(ends, [y[row]] * 2, color=colour, linewidth=0.9, solid_capstyle="butt")
            axis.plot(
                series.mean[row],
                y[row],
                marker=series.marker,
                color=colour,
                markerfacecolor=colour if series.filled else PAPER,
                markeredgewidth=0.8,
                linestyle="none",
            )
        if series.name and np.isfinite(series.mean).any():
            # A mark of no place, for the legend: black where colours differ from row to row.
            colour = colours[0] if len(set(colours)) == 1 else INK
            face = colour if series.filled else PAPER
            axis.plot([], [], series.marker, color=colour, markerfacecolor=face, label=series.name)
    means = np.concatenate([series.mean for series in marks]) if marks else np.empty(0)
    _say_empty(axis, marks, empty or ["no value"] * len(labels))
    shown = row_labels(labels, len(marks))
    axis.set_yticks(height, shown, parse_math=False, linespacing=1.0)
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    axis.set_ylim(max(1, len(labels)) - 0.45, -0.55)
    axis.set_xlabel("\n".join(_label_lines(xlabel, _panel_inches(axis, shown))))
    if limits:
        room = 0.02 * (limits[1] - limits[0])
        left, right = axis.get_xlim()
        # A mean less what chance gives may lie beyond the range of what it is a mean of: no mark is cut off.
        least, greatest = np.nanmin([limits[0], *means]), np.nanmax([limits[1], *means])
        axis.set_xlim(max(left, least - room), min(right, greatest + room))
    if axis.get_legend_handles_labels()[1]:
        add_legend(axis)


def _label_lines(label: str, inches: float) -> list[str]:
    """Return the lines of an axis's label; one of two lines has what it says in brackets on the second."""
    lines = wrapped(label, inches, NORMAL)
    what, bracket, better = label.partition(" (")
    return [*wrapped(what, inches, NORMAL), f"({better}"] if bracket and len(lines) == 2 else lines


def _panel_inches(axis: Axes, labels: Sequence[str]) -> float:
    """Return about how wide the panel will be, beside the names of its rows."""
    longest = max((len(line) for label in labels for line in label.split("\n")), default=0)
    spans = axis.get_subplotspec()
    columns = spans.get_gridspec().ncols if spans is not None else 1
    return (root_figure(axis).get_figwidth() - text_inches("x" * longest, SMALL)) / columns - 0.1


def mark_offset(index: int, count: int) -> float:
    """Return how far the mark of a series lies below the middle of its row, in rows."""
    return (0.62 if count > 1 else 0.0) * ((index + 0.5) / count - 0.5)


def add_legend(axis: Axes, width: float = 0.62) -> int:
    """Add the legend above the panel, where it covers nothing, in as many columns as fit, and return its lines.

    Parameters
    ----------
    axis
        The panel.
    width
        Width of the panel, as a share of its figure's. A panel of rows is narrower than others.
    """
    labels = axis.get_legend_handles_labels()[1]
    room = root_figure(axis).get_figwidth() * 72 * width
    widest = max((text_inches(label, SMALL) for label in labels), default=0.0)
    columns = max(1, min(3, len(labels), int(room / (14 + 72 * widest))))
    axis.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=columns,
        fontsize=SMALL,
        frameon=False,
        borderaxespad=0.2,
        handletextpad=0.4,
        handlelength=1.2,
        columnspacing=1.0,
    )
    return -(-len(labels) // columns)


def _draw_chance(axis: Axes, chance: float | tuple[float, float] | None) -> None:
    if isinstance(chance, tuple):
        if np.isfinite(chance).all():
            # An edge as well as a face, since a band of draws that hardly differ has no width.
            axis.axvspan(*chance, facecolor=BAND, edgecolor="#b0b0b0", linewidth=0.6, zorder=0, label="random orders")
    elif chance is not None:
        axis.axvline(chance, color=QUIET, linewidth=0.8, linestyle=(0, (3, 2)), zorder=0)


def _say_empty(axis: Axes, marks: Sequence[Marks], texts: Sequence[str]) -> None:
    for row, text in enumerate(texts):
        if not any(np.isfinite(series.mean[row]) for series in marks):
            place = axis.get_yaxis_transform()
            axis.text(0.02, row, text, transform=place, va="center", fontsize=SMALL, color=QUIET, style="italic")
