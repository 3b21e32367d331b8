"""The figure of the surrogate analysis: how well targets are predicted, each chain's predictions, and what tells."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from tokimp.report.estimator_looks import look_of
from tokimp.report.number_texts import chains_text, few_chains, shown_ends
from tokimp.report.plot.fonts import drawable
from tokimp.report.plot.label_lines import two_lines
from tokimp.report.plot.rows import Marks, draw_rows, rows_height
from tokimp.report.plot.small_panels import draw_small_panels, panels_height
from tokimp.report.plot.style import (
    INK,
    PAPER,
    QUIET,
    SMALL,
    Panels,
    ShownAxes,
    ShownFigure,
    foot,
    head,
    new_axes,
    new_figure,
    prepare,
    run_text,
    styled,
)
from tokimp.results.analysis_nodes import analysis_node
from tokimp.results.by_chain import token_slice
from tokimp_surrogate.report import MODELS, groups_to_show

_MARKERS = "oD^sv*"
_SPREAD = 3.0
"""Standard deviations that the panels of predictions reach to."""


@styled
def draw_correlations(result: xr.DataTree, ax: Axes | None = None, *, node_name: str = "surrogate") -> Axes:
    """Draw how well each target is predicted on held-out chains: Pearson's correlation within chains, by model.

    Parameters
    ----------
    result
        A result that the analysis has been run on.
    ax
        Axes to draw on; by default those of a new figure, 85 mm wide.
    node_name
        Name of the node (`tokimp.results.analysis_nodes.node_name`).

    Raises
    ------
    SchemaError
        If the analysis has not been run.
    """
    node = analysis_node(result, node_name)
    axis = new_axes(ax, _rows_height(node) + 24)
    _draw_rows(axis, node)
    head([axis], ax, "Surrogates: correlation on held-out chains", run_text(result), _chains(node))
    foot([axis], ax, _FILLED, drawn=_targets(node))
    return axis


@styled
def draw_predictions(
    result: xr.DataTree,
    model: str = "mlp",
    figure: ShownFigure | SubFigure | None = None,
    *,
    node_name: str = "surrogate",
) -> Panels:
    """Draw held-out predictions against each target, both in standard deviations of the target.

    Each chain is a line: the regression of its predictions on its values. A model that predicts within chains has
    rising lines; one that only tells chains apart has flat lines at several heights.

    Parameters
    ----------
    result, node_name
        As of `draw_correlations`.
    model
        The model whose predictions are drawn.
    figure
        A figure, or a part of one, to draw in; by default a new figure, 85 mm wide.

    Raises
    ------
    SchemaError
        If the analysis has not been run.
    """
    node = analysis_node(result, node_name)
    made = new_figure(panels_height(node.sizes["target"], 30)) if figure is None else figure
    panels = _draw_scatter(made, result, node, model)
    if figure is None:
        head(panels, None, f"Surrogate: {MODELS[model]}", run_text(result), _chains(node))
        foot(panels, None, _LINES, drawn=_targets(node))
    return panels


@styled
def draw_drops(result: xr.DataTree, ax: Axes | None = None, *, node_name: str = "surrogate") -> Axes:
    """Draw what the correlation within chains loses where the features of a group are shuffled, for each target.

    Parameters
    ----------
    result, ax, node_name
        As of `draw_correlations`. The analysis must have shuffled groups.

    Raises
    ------
    SchemaError
        If the analysis has not been run.
    """
    node = analysis_node(result, node_name)
    axis = new_axes(ax, _drops_height(node) + 20)
    _draw_losses(axis, node)
    head([axis], ax, "Surrogate: which features tell", run_text(result), _chains(node))
    foot([axis], ax, _HOLLOW, drawn=_targets(node))
    return axis


@styled
def surrogate_figure(result: xr.DataTree, *, node_name: str = "surrogate") -> ShownFigure:
    """Return the figure of the analysis: correlations, predictions and, where groups were shuffled, what that costs."""
    node = analysis_node(result, node_name)
    has_groups = "group_drop" in node
    heights = [_rows_height(node), panels_height(node.sizes["target"], 14)]
    if has_groups:
        heights.append(_drops_height(node))
    figure = new_figure(sum(heights) + 26)
    parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    above = parts[0].add_subplot(axes_class=ShownAxes)
    _draw_rows(above, node)
    panels = _draw_scatter(parts[1], result, node, "mlp")
    axes = [above, *panels]
    if has_groups:
        axes.append(parts[2].add_subplot(axes_class=ShownAxes))
        _draw_losses(axes[-1], node)
    head(axes, None, "Surrogates, fitted on other questions", run_text(result), _chains(node))
    feet = [_FILLED, f"Panels: {MODELS['mlp']}. {_LINES}", _HOLLOW if has_groups else ""]
    foot(axes, None, *feet, drawn=_targets(node))
    return figure


_FILLED = "Filled: models that see attention."
_LINES = "A line is a chain; dashed: predicted exactly. Both axes in standard deviations of the target."
_HOLLOW = "Triangles: Pearson's r lost within chains where a group is shuffled; hollow: the interval includes 0."


def _targets(node: xr.Dataset) -> list[str]:
    return [str(target) for target in node["target"].to_numpy()]


def _chains(node: xr.Dataset) -> str:
    return chains_text(int(node["chains_used"].max()), node.attrs["confidence"])


def _models(node: xr.Dataset) -> list[str]:
    """Return the models to draw; the mean has no correlation."""
    return [str(model) for model in node["model"].to_numpy() if str(model) != "mean"]


def _rows_height(node: xr.Dataset) -> float:
    # The names of models are long: each has a line of the legend.
    return rows_height(_targets(node), len(_models(node)), 16 + 2.4 * len(_models(node)))


def _draw_rows(axis: Axes, node: xr.Dataset) -> None:
    cells = node.sel(measure="pearson", partial=False, scope="within")
    marks = []
    for place, model in enumerate(_models(node)):
        row = cells.sel(model=model)
        mean, low, high = (row[f"correlation{end}"].to_numpy() for end in ("", "_low", "_high"))
        low, high = shown_ends(low, high, node["chains_used"].to_numpy())
        sees = MODELS.get(model, model).startswith("attention")
        colours = [INK if sees else "#7a7a7a"] * len(mean)
        marker = _MARKERS[place % len(_MARKERS)]
        marks.append(Marks(MODELS.get(model, model), mean, low, high, marker=marker, filled=sees, colours=colours))
    label = "Pearson's r within held-out chains"
    draw_rows(axis, _targets(node), marks, label, chance=0.0, limits=(-1, 1))


def _draw_scatter(figure: ShownFigure | SubFigure, result: xr.DataTree, node: xr.Dataset, model: str) -> Panels:
    targets = _targets(node)

    def draw(axis: Axes, target: str) -> None:
        value = node["value"].sel(target=target).to_numpy()
        prediction = node["prediction"].sel(target=target, model=model).to_numpy()
        spread = float(np.nanstd(value)) or 1.0
        middle = float(np.nanmean(value)) if np.isfinite(value).any() else 0.0
        value, prediction = (value - middle) / spread, (prediction - middle) / spread
        colour = look_of(target.partition(":")[2]).colour
        # Rasterised, since thousands of points would make an SVG file large.
        axis.plot(value, prediction, ".", color="#b8b8b8", markersize=1.2, rasterized=True, zorder=1)
        axis.plot([-_SPREAD, _SPREAD], [-_SPREAD, _SPREAD], color=QUIET, linewidth=0.6, linestyle=(0, (3, 2)))
        for chain in range(result.sizes["chain"]):
            _draw_chain(axis, value[token_slice(result, chain)], prediction[token_slice(result, chain)], colour)

    panels = draw_small_panels(figure, targets, draw, xlabel="value, sd", ylabel="predicted, sd")
    panels[0].set(xlim=(-_SPREAD, _SPREAD), ylim=(-_SPREAD, _SPREAD))
    return panels


def _draw_chain(axis: Axes, value: np.ndarray, prediction: np.ndarray, colour: str) -> None:
    """Draw the regression of a chain's predictions on its values, from its lowest value to its highest."""
    known = np.isfinite(value) & np.isfinite(prediction)
    x, y = value[known], prediction[known]
    if len(x) < 2 or np.ptp(x) == 0:
        return
    slope = float(((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum())
    ends = np.clip([x.min(), x.max()], -_SPREAD, _SPREAD)
    axis.plot(ends, y.mean() + slope * (ends - x.mean()), color=colour, linewidth=0.8, zorder=2)


def _drops_height(node: xr.Dataset) -> float:
    return 26 + 3.6 * len(_groups(node))


def _groups(node: xr.Dataset) -> list[str]:
    """Return the groups to draw: those that the table shows for any target, in the result's order."""
    shown = {group for target in _targets(node) for group in groups_to_show(node.sel(target=target))}
    return [group for group in map(str, node["group"].to_numpy()) if group in shown]


def _draw_losses(axis: Axes, node: xr.Dataset) -> None:
    targets, groups = _targets(node), _groups(node)
    cells = node.sel(scope="within", group=groups)
    lost, low, high = (
        cells[f"group_drop{end}"].transpose("group", "target").to_numpy() for end in ("", "_low", "_high")
    )
    counts = node["chains_used"].to_numpy()
    known = np.abs(lost[np.isfinite(lost)])
    largest = float(known.max(initial=0.0)) or 1.0
    prepare(axis, "y")
    for row, column in np.argwhere(np.isfinite(lost)):
        value = lost[row, column]
        told = not few_chains(int(counts[column])) and (low[row, column] > 0 or high[row, column] < 0)
        axis.plot(
            column,
            row,
            "^" if value >= 0 else "v",
            markersize=max(1.4, 6 * np.sqrt(abs(value) / largest)),
            color=INK,
            markerfacecolor=INK if told else PAPER,
            markeredgewidth=0.6,
        )
    axis.set_xlim(-0.6, len(targets) - 0.4)
    axis.set_ylim(len(groups) - 0.4, -0.6)
    axis.set_yticks(range(len(groups)), [drawable(group)[0] for group in groups], parse_math=False)
    names = two_lines([drawable(target)[0] for target in targets], 20)
    axis.set_xticks(range(len(targets)), names, rotation=90, parse_math=False)
    axis.tick_params(length=0)
    axis.set_title(f"r lost where shuffled (largest: {largest:.2f})", loc="left", fontsize=SMALL)
