"""Effects of units on later units: one chain's as a matrix, and how far they reach over all chains."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import SymLogNorm

from tokimp.errors import EstimatorError
from tokimp.report.estimator_looks import look_of
from tokimp.report.number_texts import chains_text, few_chains
from tokimp.report.plot.fonts import drawable
from tokimp.report.plot.style import (
    INK,
    LINE,
    PAPER,
    QUIET,
    SILENT,
    SMALL,
    ShownAxes,
    ShownFigure,
    foot,
    head,
    new_axes,
    new_figure,
    prepare,
    root_figure,
    run_text,
    styled,
)
from tokimp.results.analysis_nodes import analysis_node
from tokimp.results.effects import effects as effects_of
from tokimp.results.effects_node import read_effects
from tokimp.results.effects_schema import effect_labels

_MOST_MATRICES = 3
_LABELLED_UNITS = 40
_LONGEST_TEXT = 12
_FINE = 0.1
"""Effects below this (nats) are coloured in proportion, larger ones by their logarithm."""
_DARK = 0.2
"""Colours below this share of the scale are so dark a blue that black is not read on them."""
_MATRIX_MM, _REACH_MM = 74.0, 46.0


@styled
def effects(
    result: xr.DataTree, chain_id: str | None = None, estimator: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw what each unit of a chain does to each later one, and to the answer, as a matrix.

    Parameters
    ----------
    result
        A result with effects.
    chain_id
        The chain; by default the first that has two units and effects by all estimators that give any.
    estimator
        The label or name of the estimator; by default the first that gives effects.
    ax
        Axes to draw on; by default those of a new figure, 85 mm wide.

    Returns
    -------
    matplotlib.axes.Axes
        The axes drawn on.

    Raises
    ------
    SchemaError
        If there is no such chain.
    EstimatorError
        If the estimator, or every one, says nothing about effects.
    """
    labels = effect_labels(result)
    if not labels:
        raise EstimatorError(
            "no estimator of the result says what units do to each other; compare with leave_one_out:effects=true, say"
        )
    chain_id = _shown_chain(result, labels) if chain_id is None else chain_id
    matrix = effects_of(result, chain_id, labels[0] if estimator is None else estimator)
    axis = new_axes(ax, _MATRIX_MM + 18)
    _draw_matrix(axis, matrix)
    head([axis], ax, f"Effects by {matrix.attrs['estimator']}", run_text(result), f"chain {chain_id}")
    foot([axis], ax, _SIGNS, drawn=map(str, matrix["source_text"].to_numpy()))
    return axis


@styled
def effect_reach(result: xr.DataTree, ax: Axes | None = None, *, node_name: str = "effects") -> Axes:
    """Draw the share of all absolute effects that falls on units some units apart, with intervals.

    Parameters
    ----------
    result
        A result with the node ``/analysis/effects``.
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
        If the analysis has not been run.
    """
    node = analysis_node(result, node_name)
    axis = new_axes(ax, _REACH_MM + 18)
    _draw_reach(axis, node)
    labels = [str(label) for label in node["effect_estimator"].to_numpy()]
    chains = chains_text(node.sizes["chain"], node.attrs["confidence"])
    head([axis], ax, "How far effects reach", run_text(result), chains)
    foot([axis], ax, "Grey: share of the pairs, which effects of equal size would have.", drawn=labels)
    return axis


@styled
def effects_figure(result: xr.DataTree, *, node_name: str = "effects") -> ShownFigure:
    """Return the figure of the analysis: matrices of one chain by up to three estimators, and `effect_reach`."""
    node = analysis_node(result, node_name)
    labels = [str(label) for label in node["effect_estimator"].to_numpy()]
    drawn = labels[:_MOST_MATRICES]
    chain_id = _shown_chain(result, labels)
    heights = [*(_MATRIX_MM for _ in drawn), _REACH_MM]
    figure = new_figure(sum(heights) + 20)
    parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    axes: list[Axes] = []
    texts: set[str] = set(labels)
    for part, label in zip(parts, drawn, strict=False):
        axis = part.add_subplot(axes_class=ShownAxes)
        matrix = effects_of(result, chain_id, label)
        _draw_matrix(axis, matrix)
        axis.set_title(drawable(label)[0], loc="left", parse_math=False)
        texts |= set(map(str, matrix["source_text"].to_numpy()))
        axes.append(axis)
    axes.append(parts[-1].add_subplot(axes_class=ShownAxes))
    _draw_reach(axes[-1], node)
    chains = chains_text(node.sizes["chain"], node.attrs["confidence"])
    head(axes, None, f"Effects of units, chain {chain_id}; how far they reach, {chains}", run_text(result))
    foot(axes, None, _SIGNS, "Grey line: share of the pairs.", drawn=sorted(texts))
    return figure


_SIGNS = "Red: the unit in the column loses when the one in the row is taken away. Blue, \u2212: it gains."


def _shown_chain(result: xr.DataTree, labels: list[str]) -> str:
    known = read_effects(result)
    ids = [str(chain_id) for chain_id in result["chain_id"].to_numpy()]
    by_all = [chain_id for chain_id in ids if all((label, chain_id) in known for label in labels)]
    several = [chain_id for chain_id in by_all if labels and len(known[labels[0], chain_id].on_answer) > 1]
    return (several or by_all or ids)[0]


def _draw_matrix(axis: Axes, matrix: xr.DataArray) -> None:
    values = matrix.to_numpy().astype(np.float64)
    shown = np.where(np.tri(len(values), dtype=bool), np.nan, values)
    # One more column, for what the answer loses.
    shown = np.concatenate([shown, matrix["on_answer"].to_numpy()[:, None]], axis=1)
    largest = float(np.nanmax(np.abs(shown))) if np.isfinite(shown).any() else 1.0
    limit = max(largest, 2 * _FINE)
    prepare(axis, "")
    axis.set_facecolor(SILENT)
    norm = SymLogNorm(_FINE, vmin=-limit, vmax=limit)
    image = axis.imshow(np.ma.masked_invalid(shown), cmap="RdBu_r", norm=norm, aspect="auto", interpolation="none")
    # In grey, red and blue look alike: a minus tells them apart.
    if len(values) <= _LABELLED_UNITS:
        for row, column in np.argwhere(shown < -_FINE / 5):
            ink = PAPER if norm(shown[row, column]) < _DARK else INK
            axis.text(column, row, "\u2212", ha="center", va="center", fontsize=4.2, color=ink)
    axis.axvline(len(values) - 0.5, color=QUIET, linewidth=0.6)
    bar = root_figure(axis).colorbar(image, ax=axis, shrink=0.8, aspect=32, pad=0.01)
    ticks = [tick for tick in (-100, -10, -1, 0, 1, 10, 100) if abs(tick) <= limit]
    bar.set_ticks(ticks if len(ticks) > 1 else [-_FINE, 0, _FINE])
    bar.ax.minorticks_off()
    bar.ax.yaxis.set_major_formatter("{x:g}")
    bar.ax.tick_params(labelsize=SMALL, length=1.5, width=0.5)
    bar.outline.set(edgecolor=LINE, linewidth=0.3)
    bar.set_label("nats lost", fontsize=SMALL)
    axis.set_xlabel("unit that loses, and the answer")
    axis.set_ylabel("unit taken away")
    if len(values) <= _LABELLED_UNITS:
        texts = [_shortened(str(text)) for text in matrix["source_text"].to_numpy()]
        size = 5.0 if len(values) <= 28 else 4.0
        axis.set_xticks(range(len(values) + 1), [*texts, "answer"], rotation=90, fontsize=size, parse_math=False)
        axis.set_yticks(range(len(values)), texts, fontsize=size, parse_math=False)
        axis.tick_params(length=0)


def _draw_reach(axis: Axes, node: xr.Dataset) -> None:
    distances = [str(text) for text in node["distance"].to_numpy()]
    places = np.arange(len(distances))
    labels = [str(label) for label in node["effect_estimator"].to_numpy()]
    prepare(axis, "y")
    used = node["distance_share"].notnull().any("distance").sum("chain")
    for index, label in enumerate(labels):
        line, look = node.sel(effect_estimator=label), look_of(label)
        mean = line["distance_share_mean"].to_numpy()
        at = places + 0.06 * (index - (len(labels) - 1) / 2)
        if not few_chains(int(used.sel(effect_estimator=label))):
            low, high = (line[f"distance_share_{end}"].to_numpy() for end in ("low", "high"))
            axis.vlines(at, low, high, color=look.colour, linewidth=0.9)
        style = ("-", "--", ":", "-.")[look.dashes]
        axis.plot(at, mean, color=look.colour, marker=look.marker, linestyle=style, label=drawable(label)[0])
    axis.plot(places, node["pair_share"].to_numpy(), color="#999999", linewidth=2.2, alpha=0.6, zorder=0)
    axis.set_xticks(places, distances)
    axis.set_xlabel("units apart")
    axis.set_ylabel("share of all absolute effects")
    axis.set_ylim(0, 1)
    axis.legend(loc="upper right", fontsize=SMALL)


def _shortened(text: str) -> str:
    plain = drawable(" ".join(text.split()))[0]
    return plain if len(plain) <= _LONGEST_TEXT else plain[: _LONGEST_TEXT - 1] + "\u2026"
