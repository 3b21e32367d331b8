"""Agreement in groups of tokens or chains, and between two results: tables and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.markup import escape
from rich.table import Table

from tokimp.analysis.agreement.report import followers_of_position, followers_text
from tokimp.report.figure_style import COLOURS, MARKERS, PAPER, finish
from tokimp.report.terminal import (
    FEWEST_FOR_AN_INTERVAL,
    chains_text,
    interval_of,
    keep_words_whole,
    mean_text,
    new_table,
)
from tokimp.results.views import analysis_node

# Of more pairs a figure shows those whose groups differ most: more rows than these nobody reads.
MOST_PAIRS = 15
_TITLES = ((False, "as it is"), (True, "position partialled out"))


def agreement_within_table(result: xr.DataTree, *, partial: bool = False) -> Table:
    """Return the mean correlation of every two estimators, one column a group.

    Parameters
    ----------
    result
        A result with the node ``/analysis/agreement_within``.
    partial
        Whether position is partialled out.
    """
    node = analysis_node(result, "agreement_within")
    what = "position partialled out" if partial else "as it is"
    table = new_table(f"Spearman correlation by {node.attrs['by']}, {what}")
    table.add_column("pair")
    groups = node["group"].to_numpy().tolist()
    for group in groups:
        table.add_column(escape(str(group)), justify="right")
    for one, other in combinations(node["estimator"].to_numpy().tolist(), 2):
        pair = node.sel(estimator=one, other=other, partial=partial)
        table.add_row(f"{escape(one)} / {escape(other)}", *(interval_of(pair.sel(group=group)) for group in groups))
    table.add_section()
    counts = node["chains_used"].max(("partial", "estimator", "other"))
    table.add_row("[dim]chains[/]", *(str(int(counts.sel(group=group))) for group in groups))
    used = node["chains_used"].max("group")
    itself = {str(label): used.sel(estimator=label, other=label) for label in node["estimator"].to_numpy()}
    table.caption = _foot(node, itself if partial else {}, "undefined with")
    return keep_words_whole(table)


def agreement_between_table(result: xr.DataTree) -> Table:
    """Return each estimator's mean correlation with itself in the other result, as it is and given position."""
    node = analysis_node(result, "agreement_between")
    table = new_table(f"Spearman correlation with {escape(_other(node))}")
    table.add_column("estimator")
    for heading in ("as it is", "position partialled out", "chains"):
        table.add_column(heading, justify="right")
    labels = node["common"].to_numpy().tolist()
    for label in labels:
        row = node.sel(common=label)
        cells = [interval_of(row.sel(partial=partial)) for partial in (False, True)]
        table.add_row(escape(label), *cells, str(int(row["chains_used"].max())))
    itself = {str(label): node["chains_used"].sel(common=label) for label in labels}
    table.caption = _foot(node, itself, "a dash for")
    return keep_words_whole(table)


def draw_agreement_within(result: xr.DataTree) -> Figure:
    """Draw the mean correlation of every two estimators in each group: a row a pair, a mark with its interval a group.

    As it is on the left, position partialled out on the right. Pairs without any value have no row; of more than
    fifteen pairs those are drawn whose groups differ most (the range of their means, in the panel where it is greater),
    in the result's order.
    """
    node = analysis_node(result, "agreement_within")
    every = [
        pair
        for pair in combinations(map(str, node["estimator"].to_numpy()), 2)
        if int(node["chains_used"].sel(estimator=pair[0], other=pair[1]).max())
    ]
    pairs = _pairs_that_differ(node, every)
    groups = [str(group) for group in node["group"].to_numpy()]
    figure, axes = _panels([f"{one} / {other}" for one, other in pairs], 0.3 + 0.12 * len(groups))
    for axis, (partial, title) in zip(axes, _TITLES, strict=True):
        for index, group in enumerate(groups):
            cells = [node.sel(estimator=one, other=other, group=group, partial=partial) for one, other in pairs]
            _draw_marks(axis, cells, index, len(groups), group)
        _mark_undefined(axis, [node.sel(estimator=one, other=other, partial=partial) for one, other in pairs])
        axis.set_title(title, fontsize=9)
    note = chains_text(int(node["chains_used"].max()), node.attrs["confidence"])
    left_out = f"; the {len(pairs)} of {len(every)} pairs whose groups differ most" if len(pairs) < len(every) else ""
    finish(figure, axes[0], f"agreement by {node.attrs['by']}, objective {result.attrs['objective']}; {note}{left_out}")
    return figure


def draw_agreement_between(result: xr.DataTree) -> Figure:
    """Draw each estimator's mean correlation with itself in the other result: a row an estimator, with its interval.

    As it is on the left, position partialled out on the right.
    """
    node = analysis_node(result, "agreement_between")
    labels = [str(label) for label in node["common"].to_numpy()]
    figure, axes = _panels(labels, 0.4)
    for axis, (partial, title) in zip(axes, _TITLES, strict=True):
        rows = [node.sel(common=label, partial=partial) for label in labels]
        _draw_marks(axis, rows, 0, 1)
        _mark_undefined(axis, rows)
        axis.set_title(title, fontsize=9)
    note = chains_text(int(node["chains_used"].max()), node.attrs["confidence"])
    finish(figure, axes[0], f"agreement with {_other(node)}\n{note}")
    return figure


def _pairs_that_differ(node: xr.Dataset, pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the pairs there is room for, in their order: those whose groups differ most."""
    spans = []
    for one, other in pairs:
        mean = node["mean"].sel(estimator=one, other=other)
        # Of a pair with no value in one of the panels, the other tells.
        spans.append(float((mean.max("group") - mean.min("group")).max()))
    shown = set(np.argsort(-np.array(spans), kind="stable")[:MOST_PAIRS].tolist())
    return [pair for place, pair in enumerate(pairs) if place in shown]


def _panels(names: Sequence[str], row_inches: float) -> tuple[Figure, Sequence[Axes]]:
    """Return two panels with a row for each name, the first on top, over correlations from -1 to 1."""
    # Inches: what the longest name takes beside the panels, and what titles and legend take above and below.
    size = (7.2 + 0.075 * max(map(len, names), default=0), 1.5 + row_inches * max(1, len(names)))
    figure = Figure(figsize=size, facecolor=PAPER, layout="constrained")
    axes: Sequence[Axes] = figure.subplots(1, 2, sharey=True)
    for axis in axes:
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


def _draw_marks(axis: Axes, cells: Sequence[xr.Dataset], index: int, count: int, label: str | None = None) -> None:
    """Draw one of `count` series: a mark in each row, and its interval where it rests on enough chains."""
    again, place = divmod(index, len(COLOURS))
    mean, low, high = (np.array([float(cell[name]) for cell in cells]) for name in ("mean", "low", "high"))
    spread = np.clip(np.stack([mean - low, high - mean]), 0, None)
    spread[:, [int(cell["chains_used"]) < FEWEST_FOR_AN_INTERVAL for cell in cells]] = np.nan
    height = np.arange(len(cells)) + 0.8 * ((index + 0.5) / count - 0.5)
    # Colours that come round again get the next marker, so that no two of the first 64 series look the same.
    marker = MARKERS[(place + again) % len(MARKERS)]
    look: dict[str, Any] = {"color": COLOURS[place], "marker": marker, "linestyle": "none", "markersize": 4}
    axis.errorbar(mean, height, xerr=spread, label=label, elinewidth=0.8, capsize=2, **look)


def _mark_undefined(axis: Axes, rows: Sequence[xr.Dataset]) -> None:
    """Say of rows in which nothing is drawn that there is nothing to draw."""
    for height, row in enumerate(rows):
        if not int(row["chains_used"].max()):
            axis.text(-1, height, "undefined", fontsize=7, color="#7a7a7a", va="center")


def _other(node: xr.Dataset) -> str:
    """Return the other result's name, and what is recorded to differ."""
    difference = str(node.attrs["difference"])
    if difference == "none":
        return f"{node.attrs['other']}, from which nothing that is recorded differs"
    return f"{node.attrs['other']}, which differs in {difference}"


def _foot(node: xr.Dataset, itself: Mapping[str, xr.DataArray], undefined: str) -> str:
    """Return what the numbers are, and of which estimators (`followers_of_position`) none is left given position."""
    what = mean_text(node.attrs["confidence"], int(node["chains_used"].max()))
    return "; ".join([what, *followers_text(followers_of_position(itself), undefined)])
