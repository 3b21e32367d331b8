"""Curves over the keep ratio: one line an estimator, with the band of random orders behind them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tokimp.errors import SchemaError
from tokimp.report.terminal import FEWEST_FOR_AN_INTERVAL, chains_text

# Okabe and Ito's colours, which colour-blind readers tell apart; markers tell lines apart in print, and dashes those
# that get a colour once more.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8B6F47")
MARKERS = "osD^vPX*"
_DASHES = ("-", "--", ":", "-.")
BAND, PAPER = "#c8c8c8", "#ffffff"
_TITLES = {"least_first": "least important first (insertion curve)", "most_first": "most important first (deletion)"}
_AXES = {
    "answer": "log P(answer | prompt, kept), nats",
    "answer_probability": "P(answer | prompt, kept)",
    "joint": "log P(kept, answer | prompt), nats",
    "joint_per_token": "log P(kept, answer | prompt), nats a token",
}


def line_look(index: int) -> dict[str, Any]:
    """Return colour, marker and dashes of the line with this number; no two of the first 32 look the same.

    The number of an estimator is its place in the result, so that it looks the same in all figures of a run.

    Examples
    --------
    >>> line_look(0) == line_look(8)
    False
    """
    again, place = divmod(index, len(COLOURS))
    return {"color": COLOURS[place], "marker": MARKERS[place], "linestyle": _DASHES[again % len(_DASHES)]}


def analysis_node(result: xr.DataTree, name: str) -> xr.Dataset:
    """Return the node of an analysis.

    Raises
    ------
    SchemaError
        If it has not been run on the result.
    """
    if f"/analysis/{name}" not in result.groups:
        raise SchemaError(f"the result has no {name} yet; run tokimp.analyze(result, {name!r}) on it first")
    return result[f"analysis/{name}"].to_dataset()


def draw_faithfulness(result: xr.DataTree, measures: Sequence[str] = ("answer", "joint_per_token")) -> Figure:
    """Draw both curves of every estimator: means over chains with their intervals.

    The grey band holds the means of the random orders, from the lowest to the highest draw.

    Parameters
    ----------
    result
        A result with the node ``/analysis/faithfulness``.
    measures
        One row of the figure each.

    Raises
    ------
    SchemaError
        If the analysis has not been run, or has no such measure.
    """
    node = analysis_node(result, "faithfulness")
    known = [str(name) for name in node["measure"].to_numpy()]
    unknown = [measure for measure in measures if measure not in known]
    if unknown:
        raise SchemaError(f"the faithfulness has no measure {unknown[0]!r}; it has {', '.join(known)}")
    curves = [str(name) for name in node["curve"].to_numpy()]
    size = (10.0, 3.6 * len(measures) + 0.9)
    figure = Figure(figsize=size, facecolor=PAPER, layout="constrained")
    grid = figure.subplots(len(measures), len(curves), squeeze=False, sharey="row")
    for row, measure in zip(grid, measures, strict=True):
        of_measure = node.sel(measure=measure)
        for axis, curve in zip(row, curves, strict=True):
            _draw_lines(axis, of_measure.sel(curve=curve))
            axis.set_title(_TITLES.get(curve, curve), fontsize=9)
        row[0].set_ylabel(_AXES.get(measure, measure), fontsize=9)
    finish(figure, grid[0][0], chains_text(node.sizes["chain"], node.attrs["confidence"]))
    return figure


def draw_answer_recovery(result: xr.DataTree) -> Figure:
    """Draw the share of chains whose answer is still given, over the keep ratio; one panel for each reference.

    References for which every number is the same share a panel, which names them all.

    Raises
    ------
    SchemaError
        If the analysis has not been run.
    """
    node = analysis_node(result, "answer_recovery")
    panels = coinciding_references(node)
    titles = {"chain": "the chain's answer", "unpruned": "the model's answer unpruned", "gold": "the right answer"}
    figure = Figure(figsize=(1 + 3.8 * len(panels), 4.3), facecolor=PAPER, layout="constrained")
    row = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axis, names in zip(row, panels, strict=True):
        _draw_lines(axis, node.sel(reference=names[0]))
        axis.set_title("\n= ".join(titles.get(name, name) for name in names), fontsize=9)
        axis.set_ylim(-0.03, 1.03)
    row[0].set_ylabel("share of chains that give", fontsize=9)
    finish(figure, row[0], chains_text(node.sizes["chain"], node.attrs["confidence"]))
    return figure


def coinciding_references(node: xr.Dataset) -> list[list[str]]:
    """Return the references of an answer recovery that any chain has, those that coincide on all chains together."""
    shares = node[["recovered", "uniform_recovered"]]
    groups: list[list[str]] = []
    for name in map(str, node["reference"].to_numpy()):
        if not int(node["chains_used"].sel(reference=name).max()):
            continue
        own = shares.sel(reference=name, drop=True)
        for group in groups:
            if own.equals(shares.sel(reference=group[0], drop=True)):
                group.append(name)
                break
        else:
            groups.append([name])
    return groups


def _draw_lines(axis: Axes, node: xr.Dataset) -> None:
    ratios = node["keep_ratio"].to_numpy()
    low, high = (node[f"uniform_{end}"].to_numpy() for end in ("low", "high"))
    axis.fill_between(ratios, low, high, color=BAND, linewidth=0, label="random orders")
    axis.plot(ratios, node["uniform_mean"].to_numpy(), color="#7a7a7a", linewidth=1, linestyle="--")
    for index, label in enumerate(node["estimator"].to_numpy()):
        line = node.sel(estimator=label)
        mean = line["mean"].to_numpy()
        spread = np.stack([mean - line["low"].to_numpy(), line["high"].to_numpy() - mean])
        # An interval over very few chains says nothing about other chains; where there is none, no bar is drawn.
        spread[:, line["chains_used"].to_numpy() < FEWEST_FOR_AN_INTERVAL] = np.nan
        axis.errorbar(
            ratios,
            mean,
            yerr=np.clip(spread, 0, None),
            label=str(label),
            **line_look(index),
            markersize=4,
            linewidth=1.3,
            elinewidth=0.8,
            capsize=2,
        )
    axis.set_xlabel("keep ratio", fontsize=9)
    axis.tick_params(labelsize=8)
    axis.grid(alpha=0.3)
    # Deleting goes to the right, as reading does.
    axis.invert_xaxis()


def finish(figure: Figure, first: Axes, note: str) -> None:
    """Give a figure a heading and one legend, of the lines of its first panel; none where no line has a label."""
    figure.suptitle(note, fontsize=9, parse_math=False)
    handles, labels = first.get_legend_handles_labels()
    if not labels:
        return
    # Inches, of a column of the legend; more columns than fit would be cut off at both sides.
    widest = 0.7 + 0.07 * max(map(len, labels))
    columns = max(1, min(4, len(labels), int(figure.get_figwidth() / widest)))
    legend = figure.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize=8)
    for text in legend.get_texts():
        text.set_parse_math(False)
