"""The planted text: how well each estimator ranks it lowest, as a whole and by kind."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from tokimp.report.estimator_looks import HUES, MARKERS
from tokimp.report.number_texts import chains_text, shown_ends
from tokimp.report.plot.rows import Marks, draw_rows, rows_height
from tokimp.report.plot.style import INK, ShownAxes, ShownFigure, foot, head, new_axes, new_figure, run_text, styled
from tokimp.results.analysis_nodes import analysis_node


@styled
def planted(result: xr.DataTree, ax: Axes | None = None, *, node_name: str = "planted") -> Axes:
    """Draw each estimator's AUROC with its interval, by unit, by sentence, and within stretches of position.

    The estimator that tells filler best within stretches is on top.

    Parameters
    ----------
    result
        A result that the analysis has been run on.
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
    axis = new_axes(ax, rows_height(_labels(node), len(_levels(result)), 34))
    _draw_levels(axis, result, node)
    head([axis], ax, "Planted filler", run_text(result), _chains(node))
    foot([axis], ax, _LINE + _STRETCHES + _sure_text(result), drawn=_labels(node))
    return axis


@styled
def planted_kinds(result: xr.DataTree, ax: Axes | None = None, *, node_name: str = "planted") -> Axes:
    """Draw each estimator's AUROC with its interval for each kind of planted text.

    Sentences of one kind are compared with those that are no planted text; where no chain has both, units are. The
    estimator whose mean over the kinds is best is on top.

    Parameters
    ----------
    result, ax, node_name
        As of `planted`.

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
    axis = new_axes(ax, rows_height(_labels(node), node.sizes["kind"], 38))
    _draw_kinds(axis, node)
    head([axis], ax, "Planted text by kind", run_text(result), _chains(node))
    foot([axis], ax, _LINE + _kinds_text(result, node) + _sure_text(result), drawn=_labels(node))
    return axis


@styled
def planted_figure(result: xr.DataTree, *, node_name: str = "planted") -> ShownFigure:
    """Return the figure of the analysis: what `planted` draws, and where there are several kinds, `planted_kinds`."""
    node = analysis_node(result, node_name)
    labels, n_kinds = _labels(node), node.sizes.get("kind", 0)
    heights = [rows_height(labels, len(_levels(result)), 16)]
    if n_kinds > 1:
        heights.append(rows_height(labels, n_kinds, 20))
    figure = new_figure(sum(heights) + 20)
    parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    axes = [part.add_subplot(axes_class=ShownAxes) for part in parts]
    _draw_levels(axes[0], result, node)
    for axis in axes[1:]:
        _draw_kinds(axis, node)
    head(axes, None, "Planted filler", run_text(result), _chains(node))
    kinds = _kinds_text(result, node) if n_kinds > 1 else ""
    foot(axes, None, _LINE + _STRETCHES + kinds + _sure_text(result), drawn=labels)
    return figure


_LINE = "Dashed line: chance."
_STRETCHES = " Within stretches: compared only with units at about the same place."


def _labels(node: xr.Dataset) -> list[str]:
    return [str(label) for label in node["estimator"].to_numpy()]


def _levels(result: xr.DataTree) -> tuple[str, ...]:
    """Return what is compared: units, sentences (the same where units are sentences), and units within stretches."""
    by_unit = () if result.attrs["unit"] == "sentence" else ("unit",)
    return (*by_unit, "sentence", "within stretches")


def _level_of_kinds(node: xr.Dataset) -> str:
    """Return what kinds are compared by: sentences, unless no chain has sentences of a kind and others."""
    return "sentence" if node["kind_mean"].sel(level="sentence").notnull().any() else "unit"


def _kinds_text(result: xr.DataTree, node: xr.Dataset) -> str:
    level = _level_of_kinds(node)
    by = result.attrs["unit"] if level == "unit" else level
    return f" Kinds: by {by}; in brackets, the chains that hold one."


def _chains(node: xr.Dataset) -> str:
    """Return how many chains there are, and what the intervals are."""
    return chains_text(int(node["chains_used"].max()), node.attrs["confidence"])


def _draw_levels(axis: Axes, result: xr.DataTree, node: xr.Dataset) -> None:
    names = _labels(node)
    order = np.argsort(-node["within_bands"].to_numpy(), kind="stable")  # NaN goes last
    auroc = node.sel(measure="auroc")
    used = node["chains_used"].max(("measure", "level")).to_numpy()
    marks = []
    for level in _levels(result):
        within = level == "within stretches"
        if within:
            mean, low, high = (node[f"within_bands{end}"].to_numpy() for end in ("", "_low", "_high"))
        else:
            mean, low, high = (auroc[name].sel(level=level).to_numpy() for name in ("mean", "low", "high"))
        low, high = shown_ends(low, high, used)
        name = level if within else f"by {result.attrs['unit'] if level == 'unit' else level}"
        marker = {"unit": "D", "sentence": "s"}.get(level, "o")
        colours = [INK if within else "#7a7a7a"] * len(names)
        marks.append(Marks(name, mean[order], low[order], high[order], marker=marker, filled=within, colours=colours))
    labels = [names[place] for place in order]
    draw_rows(axis, labels, marks, "AUROC: filler below the rest (1 is best)", chance=0.5, limits=(0, 1))


def _draw_kinds(axis: Axes, node: xr.Dataset) -> None:
    names = _labels(node)
    auroc = node.sel(measure="auroc", level=_level_of_kinds(node)).transpose("kind", "estimator", ...)
    mean = auroc["kind_mean"].to_numpy()
    known = np.isfinite(mean)
    over_kinds = np.where(known, mean, 0).sum(0) / np.maximum(known.sum(0), 1)
    order = np.argsort(-np.where(known.any(0), over_kinds, np.nan), kind="stable")
    marks = []
    for index, kind in enumerate(node["kind"].to_numpy()):
        of_kind = auroc.isel(kind=index)
        low, high = shown_ends(
            of_kind["kind_low"].to_numpy(), of_kind["kind_high"].to_numpy(), of_kind["kind_chains_used"].to_numpy()
        )
        chains = int(of_kind["kind_chains_used"].max())
        name = f"{str(kind).replace('_', ' ')} ({chains})"
        colours = [HUES[index % len(HUES)]] * len(names)
        marker = MARKERS[index % len(MARKERS)]
        marks.append(Marks(name, mean[index][order], low[order], high[order], marker=marker, colours=colours))
    labels = [names[place] for place in order]
    draw_rows(axis, labels, marks, "AUROC: a kind below the rest (1 is best)", chance=0.5, limits=(0, 1))


def _sure_text(result: xr.DataTree) -> str:
    """Return on how many chains the model is sure of the answer: what it does not understand, no method can tell."""
    if "full_loglik_answer_value" not in result:
        return ""
    logprobs = result["full_loglik_answer_value"].to_numpy()
    known = logprobs[~np.isnan(logprobs)]
    return f" P(answer) is above 1/2 on {int((known > np.log(0.5)).sum())} of {len(known)} chains."
