"""Faithfulness: areas under the curves as rows of marks, and the curves themselves as small panels."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from tokimp.chains.arrays import FloatArray
from tokimp.errors import SchemaError
from tokimp.report.estimator_looks import look_of
from tokimp.report.number_texts import chains_text, shown_ends
from tokimp.report.plot.rows import Marks, draw_rows, rows_height
from tokimp.report.plot.small_panels import draw_band, draw_curve, draw_small_panels, panels_height
from tokimp.report.plot.style import (
    Panels,
    ShownAxes,
    ShownFigure,
    foot,
    head,
    new_axes,
    new_figure,
    run_text,
    styled,
)
from tokimp.results.analysis_nodes import analysis_node

_CURVES = {"least_first": "least important deleted first", "most_first": "most important deleted first"}
_MEASURES = {
    "answer": ("log P(answer | kept)", "nats"),
    "answer_probability": ("P(answer | kept)", "probability"),
    "answer_per_token": ("log P(answer | kept)", "nats a token"),
    "joint": ("log P(kept, answer)", "nats"),
    "joint_per_token": ("log P(kept, answer)", "nats a token"),
}
_WAYS = (
    "Filled, solid: least important deleted first, higher is better. "
    "Hollow, dashed: most important first, lower is better."
)
_GREY = "Grey: random orders, from the lowest to the highest draw."


@styled
def faithfulness(
    result: xr.DataTree,
    measure: str = "answer",
    ax: Axes | None = None,
    *,
    keep_ratio: float = 0.5,
    node_name: str = "faithfulness",
) -> Axes:
    """Draw how far each estimator's order keeps the likelihood: one row an estimator, the most faithful on top.

    A filled mark is the mean height of the curve (its area) when the least important units are deleted first; higher
    is better. A hollow mark is that when the most important are deleted first; lower is better. Grey spans the random
    orders, from the lowest to the highest draw. A measure that is about other tokens at each keep ratio has no area;
    its values at one keep ratio are drawn instead.

    Parameters
    ----------
    result
        A result with the node ``/analysis/faithfulness``.
    measure
        The measure to draw.
    ax
        Axes to draw on; by default those of a new figure, 85 mm wide.
    keep_ratio
        The keep ratio, or the nearest one computed, for measures without an area.
    node_name
        Name of the node (`tokimp.results.analysis_nodes.node_name`).

    Returns
    -------
    matplotlib.axes.Axes
        The axes drawn on.

    Raises
    ------
    SchemaError
        If the analysis has not been run, or has no such measure.
    """
    node = _measure(result, measure, node_name)
    labels = [str(label) for label in node["estimator"].to_numpy()]
    axis = new_axes(ax, rows_height(labels, 2, 30))
    what = _draw_areas(axis, node, measure, keep_ratio)
    head([axis], ax, f"Faithfulness{_operator(node)}: {what}", run_text(result), _chains(node))
    foot([axis], ax, _ends(node), drawn=labels)
    return axis


@styled
def faithfulness_curves(
    result: xr.DataTree,
    measure: str = "answer",
    figure: ShownFigure | SubFigure | None = None,
    *,
    node_name: str = "faithfulness",
) -> Panels:
    """Draw both curves of every estimator over the keep ratio, each estimator in a small panel.

    Parameters
    ----------
    result, measure, node_name
        As of `faithfulness`.
    figure
        A figure, or a part of one, to draw in; by default a new figure, 85 mm wide.

    Returns
    -------
    Panels
        The axes, one for each estimator, in the order of `faithfulness`.

    Raises
    ------
    SchemaError
        If the analysis has not been run, or has no such measure.
    """
    node = _measure(result, measure, node_name)
    made = new_figure(panels_height(node.sizes["estimator"], 28)) if figure is None else figure
    panels = _draw_curves(made, node, measure)
    if figure is None:
        head(panels, None, f"Faithfulness{_operator(node)}: curves", run_text(result), _chains(node))
        foot(panels, None, _WAYS, _GREY, _ends(node), drawn=map(str, node["estimator"].to_numpy()))
    return panels


@styled
def faithfulness_figure(
    result: xr.DataTree, measure: str = "answer", *, node_name: str = "faithfulness"
) -> ShownFigure:
    """Return the figure of the analysis: `faithfulness` on top, and `faithfulness_curves` below it."""
    node = _measure(result, measure, node_name)
    labels = [str(label) for label in node["estimator"].to_numpy()]
    heights = rows_height(labels, 2, 14), panels_height(len(labels), 12)
    figure = new_figure(sum(heights) + 22)
    above, below = figure.subfigures(2, 1, height_ratios=heights, squeeze=False)[:, 0]
    axis = above.add_subplot(axes_class=ShownAxes)
    what = _draw_areas(axis, node, measure, 0.5)
    panels = _draw_curves(below, node, measure)
    head([axis], None, f"Faithfulness{_operator(node)}: {what}, and curves", run_text(result), _chains(node))
    foot([axis, *panels], None, _WAYS, _GREY, _ends(node), drawn=labels)
    return figure


def _measure(result: xr.DataTree, measure: str, node_name: str) -> xr.Dataset:
    node = analysis_node(result, node_name)
    known = [str(name) for name in node["measure"].to_numpy()]
    if measure not in known:
        raise SchemaError(f"the faithfulness has no measure {measure!r}; it has {', '.join(known)}")
    return node.sel(measure=measure)


def _draw_areas(axis: Axes, node: xr.Dataset, measure: str, keep_ratio: float) -> str:
    """Draw the rows, and return what they show, for a heading."""
    quantity, unit = _MEASURES.get(measure, (measure, "its own unit"))
    has_area = bool(node["area_mean"].notnull().any()) or bool(node["uniform_area_mean"].notnull())
    if has_area:
        parts, chance, shown = [node[f"area_{end}"] for end in ("mean", "low", "high")], "uniform_area", node
        label, what = f"mean of {quantity} over keep ratios, {unit}", "area under the curves"
    else:
        shown = node.sel(keep_ratio=keep_ratio, method="nearest")
        parts, chance = [shown[end] for end in ("mean", "low", "high")], "uniform"
        what = f"at keep ratio {float(shown['keep_ratio']):g}"
        label = f"{quantity}, {unit}"
    order = _order(node, parts[0])
    labels = [str(node["estimator"].to_numpy()[place]) for place in order]
    used = node["chains_used"].max(("curve", "keep_ratio")).to_numpy()[order]
    marks = [
        _marks(curve, [part.sel(curve=curve).to_numpy()[order] for part in parts], used, labels)
        for curve in map(str, node["curve"].to_numpy())
    ]
    stopped = ["stopped deleting early: no area" if count else "says nothing" for count in used]
    band = float(shown[f"{chance}_low"]), float(shown[f"{chance}_high"])
    draw_rows(axis, labels, marks, label, chance=band, empty=stopped)
    return what


def _marks(curve: str, parts: list[FloatArray], used: FloatArray, labels: list[str]) -> Marks:
    is_least = curve == "least_first"
    mean, low, high = parts
    better = "higher is better" if is_least else "lower is better"
    name = f"{'least' if is_least else 'most'} first ({better})"
    low, high = shown_ends(low, high, used)
    colours = [look_of(label).colour for label in labels]
    return Marks(name, mean, low, high, marker="o" if is_least else "D", filled=is_least, colours=colours)


def _order(node: xr.Dataset, mean: xr.DataArray) -> list[int]:
    """Return the places of the estimators, those first whose two curves lie furthest apart; those without last."""
    gap = (mean.sel(curve="least_first") - mean.sel(curve="most_first")).to_numpy()
    if not np.isfinite(gap).any():
        gap = (
            (node["mean"].sel(curve="least_first") - node["mean"].sel(curve="most_first")).mean("keep_ratio").to_numpy()
        )
    return [int(place) for place in np.argsort(-gap, kind="stable")]


def _draw_curves(figure: ShownFigure | SubFigure, node: xr.Dataset, measure: str) -> Panels:
    quantity, unit = _MEASURES.get(measure, (measure, "its own unit"))
    ratios = node["keep_ratio"].to_numpy()

    def draw(axis: Axes, label: str) -> None:
        draw_band(axis, ratios, *(node[f"uniform_{end}"].to_numpy() for end in ("low", "high", "mean")))
        for curve in map(str, node["curve"].to_numpy()):
            line = node.sel(estimator=label, curve=curve)
            low, high = shown_ends(*(line[name].to_numpy() for name in ("low", "high", "chains_used")))
            is_dashed = curve != "least_first"
            draw_curve(axis, ratios, line["mean"].to_numpy(), low, high, colour=look_of(label).colour, dashed=is_dashed)

    order = _order(node, node["area_mean"])
    labels = [str(node["estimator"].to_numpy()[place]) for place in order]
    panels = draw_small_panels(figure, labels, draw, xlabel="keep ratio", ylabel=f"{quantity}, {unit}")
    panels[0].set_xlim(float(ratios.max()), float(ratios.min()))  # deleting goes to the right, as reading does
    return panels


def _chains(node: xr.Dataset) -> str:
    return chains_text(node.sizes["chain"], node.attrs["confidence"])


def _operator(node: xr.Dataset) -> str:
    return f" by {node.attrs['operator']}" if "operator" in node.attrs else ""


def _ends(node: xr.Dataset) -> str:
    """Return the sentence about estimators that did not delete to the end; empty without any."""
    known = node["mean"].notnull()
    partly = (known.any("keep_ratio") & ~known.all("keep_ratio")).any("curve")
    return "A curve ends where its estimator stopped deleting, and has no area." if bool(partly.any()) else ""
