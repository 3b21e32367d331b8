"""Accuracy of students over the keep ratio: a panel for each student, teacher and pruner, a line a method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from tokimp.report.estimator_looks import look_of
from tokimp.report.plot.fonts import drawable
from tokimp.report.plot.rows import add_legend
from tokimp.report.plot.style import (
    BAND,
    QUIET,
    SMALL,
    Panels,
    ShownAxes,
    foot,
    head,
    message,
    new_figure,
    prepare,
    styled,
)

_DASHES = ("-", "--", ":", "-.")
_REFERENCES = {"untrained": "untrained student", "unpruned": "trained on whole chains"}
_PANEL_MM = 52.0
_LEGEND_MM = 1.5
"""Height that a method needs in the legend, which has two columns or more."""
_LINE_POINTS = 1.5 * SMALL
# Share of the height of an axis: half a marker and its edge.
_MARKER_ROOM = 0.025


@dataclass(frozen=True, slots=True)
class StudentCurves:
    """What one panel shows.

    Attributes
    ----------
    heading
        Student, teacher and pruner.
    pruned
        Rows of students trained on pruned chains: ``method``, ``keep_ratio``, ``accuracy``, ``lowest``, ``highest``.
    references
        Rows of the student before training and trained on whole chains: ``kind`` and the same numbers.
    """

    heading: str
    pruned: pd.DataFrame
    references: pd.DataFrame


@styled
def student_accuracy(curves: Sequence[StudentCurves], questions: int, seeds: int) -> Panels:
    """Draw accuracy over the keep ratio, each method with the look that its estimator has everywhere.

    Parameters
    ----------
    curves
        What the panels show, the first on top. Without any, the figure says that there is no student yet.
    questions, seeds
        How many test questions there are, and how many trainings of each student.

    Returns
    -------
    Panels
        The axes, one for each panel.
    """
    methods = {str(name) for shown in curves for name in shown.pruned["method"]}
    figure = new_figure(26 + _PANEL_MM * max(1, len(curves)) + _LEGEND_MM * len(methods))
    panels: list[Axes] = []
    for place in range(max(1, len(curves))):
        shared = {"sharey": panels[0]} if panels else {}
        panels.append(figure.add_subplot(max(1, len(curves)), 1, place + 1, axes_class=ShownAxes, **shared))
    for axis, shown in zip(panels, curves, strict=False):
        _draw_panel(axis, shown, has_legend=axis is panels[0])
    if not curves:
        message(panels[0], "no student taught by pruned chains yet")
    _keep_to_shares(panels[0])
    head(panels, None, "Accuracy of students taught by pruned chains", f"{questions} questions")
    bands = f"Bands: lowest to highest of {seeds} seeds." if seeds > 1 else "One seed."
    drawn = [str(text) for shown in curves for text in (shown.heading, *shown.pruned["method"].unique())]
    foot(panels, None, bands, drawn=drawn)
    return Panels(panels)


def _draw_panel(axis: Axes, shown: StudentCurves, *, has_legend: bool) -> None:
    prepare(axis)
    for method in shown.pruned["method"].unique():
        line = shown.pruned[shown.pruned["method"] == method].sort_values("keep_ratio")
        look = look_of(str(method))
        ratios, lowest, highest, accuracy = (
            line[name].to_numpy(dtype=float) for name in ("keep_ratio", "lowest", "highest", "accuracy")
        )
        axis.fill_between(ratios, lowest, highest, color=look.colour, alpha=0.15, linewidth=0)
        axis.plot(
            ratios,
            accuracy,
            color=look.colour,
            marker=look.marker,
            linestyle=_DASHES[look.dashes],
            label=drawable(str(method))[0],
        )
    for row in _rows_of(shown.references):
        is_whole = row["kind"] == "unpruned"
        if is_whole:
            axis.axhspan(row["lowest"], row["highest"], color=BAND, linewidth=0, zorder=0)
        style = (0, (4, 2)) if is_whole else (0, (1, 1.5))
        axis.axhline(row["accuracy"], color=QUIET, linewidth=0.9, linestyle=style, label=_REFERENCES[row["kind"]])
    axis.set_xlabel("keep ratio")
    axis.set_ylabel("accuracy (higher is better)")
    # Shorter chains stand to the right: the x axis reads as deleting proceeds.
    axis.invert_xaxis()
    lines = add_legend(axis, 0.85) if has_legend else 0
    axis.set_title(drawable(shown.heading)[0], loc="left", pad=6 + _LINE_POINTS * lines, parse_math=False)


def _rows_of(table: pd.DataFrame) -> list[Mapping[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _keep_to_shares(axis: Axes) -> None:
    """End an axis of shares at 0 and 1, with room for a marker that lies there."""
    low, high = axis.get_ylim()
    room = _MARKER_ROOM * (min(high, 1) - max(low, 0))
    axis.set_ylim(max(low, -room), min(high, 1 + room))
