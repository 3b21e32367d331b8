"""The figure of an audit: one row an estimator, one panel a question."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tokimp.audit.gain_matrix import draw_gains
from tokimp.audit.page import Card, solved_line, summary
from tokimp.report.estimator_looks import HUES, MARKERS
from tokimp.report.plot.label_lines import two_lines
from tokimp.report.plot.style import BAND, QUIET, SMALL, ShownAxes, foot, head, new_figure, prepare, styled

_PAGE_MM = 174
"""Width of a printed page's text: five panels have no room in one column."""
_SCORES_AS_MARKS = 8
"""Of more scores, marks lie on each other and their names fill the page: they get a matrix below the panels."""

Point = tuple[float, float, float] | None
"""A mean with the ends of its interval (NaN where there is none); ``None`` where nothing is known."""

_MATRIX = (
    "Matrix: coloured where a gain is told from 0 (Holm over all of this audit), by its share of the largest gain or "
    "loss of the row; grey: not known."
)


@styled
def draw_card(card: Card) -> Figure:
    """Draw what each estimator gains on position, keeps under changes, finds of planted text, and costs.

    Parameters
    ----------
    card
        The card.
    """
    entries = card["estimators"]
    labels = two_lines([str(entry["label"]) for entry in entries], 24)
    gains = _gains(entries)
    height = 62 + 5.2 * len(entries)
    if len(gains) > _SCORES_AS_MARKS:
        below = 20 + 3.4 * len(gains)
        figure = new_figure(height + below, _PAGE_MM)
        grid = figure.add_gridspec(2, 4, height_ratios=(height - 20, below))
        axes = [figure.add_subplot(grid[0, place], axes_class=ShownAxes) for place in range(4)]
        matrix = figure.add_subplot(grid[1, :], axes_class=ShownAxes)
        draw_gains(matrix, entries, 1 - card["confidence"])
        panels, all_axes, said = axes, [*axes, matrix], _MATRIX
    else:
        figure = new_figure(height, _PAGE_MM)
        axes = [figure.add_subplot(1, 5, place, axes_class=ShownAxes) for place in range(1, 6)]
        _panel(axes[0], entries, gains, "better than position\n(share of the\nlargest gain)", 0)
        panels, all_axes, said = axes[1:], axes, ""
    _panel(
        panels[0],
        entries,
        {
            "all weights random": _conditions("sanity", "weights: all", "spearman"),
            "beyond position": _conditions("sanity", "weights: all", "spearman_beyond_position"),
            "other answer": _conditions("sanity", "other answer", "spearman"),
        },
        "rank correlation\nafter what must\nchange it: 0 is right",
        0,
    )
    names = [condition["condition"] for condition in entries[0].get("stability", ())]
    stable = {name: _conditions("stability", name, "spearman") for name in names}
    _panel(panels[1], entries, stable, "rank correlation\nafter what must\nnot: 1 is right", 1)
    kinds = [kind["kind"] for kind in entries[0]["planted"]]
    planted = {kind.replace("_", " "): _planted(kind) for kind in kinds}
    _panel(panels[2], entries, planted, "planted text below\nthe rest (AUROC by\nsentence): 1 is right", 0.5)
    _panel(panels[3], entries, {"positions": _positions}, "token positions\na chain", None)
    panels[3].set_xscale("symlog", linthresh=10)
    panels[3].xaxis.set_major_formatter("{x:,.0f}")
    panels[3].tick_params(axis="x", rotation=90)
    for axis in axes:
        axis.set_yticks(range(len(entries)), labels if axis is axes[0] else [""] * len(entries), parse_math=False)
        axis.set_ylim(len(entries) - 0.5, -0.5)
        axis.tick_params(axis="y", length=0)
    head(all_axes, None, "Audit of estimators", summary(card), solved_line(card))
    foot(all_axes, None, "Dashed line: chance, or what is right. Bars: intervals over chains.", said, drawn=labels)
    return figure


def _panel(
    axis: Axes,
    entries: Sequence[Mapping[str, Any]],
    series: Mapping[str, Callable[[Mapping[str, Any]], Point]],
    title: str,
    reference: float | None,
) -> None:
    """Draw one panel: a mark with its interval for each series, in the row of each estimator."""
    prepare(axis, "x")
    for row in range(0, len(entries), 2):
        axis.axhspan(row - 0.5, row + 0.5, color=BAND, alpha=0.3, linewidth=0, zorder=0)
    if reference is not None:
        axis.axvline(reference, color=QUIET, linewidth=0.8, linestyle=(0, (3, 2)))
    step = 0.7 / max(1, len(series))
    for number, (name, point_of) in enumerate(series.items()):
        points = [point_of(entry) or (np.nan, np.nan, np.nan) for entry in entries]
        mean, low, high = np.array(points).T
        height = np.arange(len(entries)) + step * (number - (len(series) - 1) / 2)
        spread = np.nan_to_num(np.clip(np.stack([mean - low, high - mean]), 0, None))
        look: dict[str, Any] = {"color": HUES[number % len(HUES)], "fmt": MARKERS[number % len(MARKERS)]}
        axis.errorbar(mean, height, xerr=spread, markersize=2.6, elinewidth=0.7, label=name, **look)
    axis.set_title(title, loc="left", fontsize=SMALL)
    if len(series) > 1:
        axis.legend(
            loc="upper left",
            bbox_to_anchor=(-0.12, 0.0),
            borderaxespad=2.6,
            fontsize=5,
            handlelength=1.0,
            handletextpad=0.3,
        )


def _gains(entries: Sequence[Mapping[str, Any]]) -> dict[str, Callable[[Mapping[str, Any]], Point]]:
    """Return for each score what reads its gain on position, divided by the largest gain or loss of any estimator."""
    names = [score["score"] for score in entries[0]["faithfulness"]]
    return {name: _gain(entries, place) for place, name in enumerate(names)}


def _gain(entries: Sequence[Mapping[str, Any]], place: int) -> Callable[[Mapping[str, Any]], Point]:
    means = [entry["faithfulness"][place].get("above_position", {}).get("mean") for entry in entries]
    largest = max((abs(mean) for mean in means if mean is not None), default=0.0) or 1.0

    def point(entry: Mapping[str, Any]) -> Point:
        found = _point(entry["faithfulness"][place].get("above_position"))
        return None if found is None else (found[0] / largest, found[1] / largest, found[2] / largest)

    return point


def _conditions(part: str, name: str, measure: str) -> Callable[[Mapping[str, Any]], Point]:
    def point(entry: Mapping[str, Any]) -> Point:
        found = [condition for condition in entry.get(part, ()) if condition["condition"].startswith(name)]
        return _point(found[-1][measure]) if found else None

    return point


def _planted(kind: str) -> Callable[[Mapping[str, Any]], Point]:
    def point(entry: Mapping[str, Any]) -> Point:
        return next((_point(found["auroc_sentence"]) for found in entry["planted"] if found["kind"] == kind), None)

    return point


def _positions(entry: Mapping[str, Any]) -> Point:
    cost = entry["cost"]
    return (float(cost["positions"]), np.nan, np.nan) if cost else None


def _point(numbers: Mapping[str, Any] | None) -> Point:
    if not numbers or numbers["mean"] is None:
        return None
    low, high = (np.nan if numbers[end] is None else float(numbers[end]) for end in ("low", "high"))
    return float(numbers["mean"]), low, high
