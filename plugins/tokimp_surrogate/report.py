"""Tables and figure of the surrogate analysis."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.markup import escape
from rich.table import Table

from tokimp.report.figure_style import COLOURS, PAPER, finish
from tokimp.report.number_texts import chains_text, few_chains, interval_of
from tokimp.report.terminal import keep_words_whole, new_table
from tokimp.results.analysis_nodes import analysis_node

_MODELS = {
    "mlp": "attention, perceptron",
    "ridge": "attention, ridge",
    "position": "position alone, perceptron",
    "mean": "mean",
}
_SCOPES = {"pooled": "all units", "within": "within chains"}
FEWEST_TO_LEARN_FROM = 20
MOST_LAYERS = 10
_IN_NATS = {"joint", "answer", "answer_value", "reasoning", "contrast"}


def surrogate_table(result: xr.DataTree, measure: str = "pearson", *, node_name: str = "surrogate") -> Table:
    """Return a table of the correlations of held-out predictions with targets, one row a model and target.

    Parameters
    ----------
    result
        A result with the node ``/analysis/surrogate``.
    measure
        ``pearson`` or ``spearman``.
    node_name
        Name of the node (`tokimp.results.analysis_nodes.node_name`).

    Raises
    ------
    SchemaError
        If the analysis has not been run.
    """
    node = analysis_node(result, node_name)
    intervals = "" if few_chains(int(node["chains_used"].max())) else f"; {node.attrs['confidence']:.0%} intervals"
    table = new_table(
        f"Surrogate: {'Pearson' if measure == 'pearson' else 'Spearman'} correlation on held-out chains "
        f"({int(node.attrs['features'])} attention features{intervals})"
    )
    table.add_column("target")
    table.add_column("predicted from")
    columns = [(scope, partial) for partial in (False, True) for scope in node["scope"].to_numpy()]
    for scope, partial in columns:
        table.add_column(_SCOPES[str(scope)] + (", beyond position" if partial else ""), justify="right")
    table.add_column("R squared", justify="right")
    for target in node["target"].to_numpy():
        of_target = node.sel(target=target)
        used = int(of_target["chains_used"])
        for index, model in enumerate(node["model"].to_numpy()):
            row = of_target.sel(model=model)
            cells = [row.sel(measure=measure, scope=scope, partial=partial) for scope, partial in columns]
            texts = [interval_of(cell, "correlation", used) for cell in cells]
            name = escape(str(target)) if not index else ""
            table.add_row(name, _MODELS.get(str(model), str(model)), *texts, interval_of(row, "r_squared", used))
        table.add_section()
    chains, units = (sorted({int(count) for count in node[name].to_numpy()}) for name in ("chains_used", "units_used"))
    table.caption = (
        f"over {_span(chains)} chains, {_span(units)} units, each predicted by models fitted on other questions; "
        "all units: levels of chains count; beyond position: partialled out within each chain"
    )
    if node.attrs["left_out"]:
        table.caption += f"; left out, of too few questions: {escape(str(node.attrs['left_out']))}"
    few = node["target"].to_numpy()[node["chains_used"].to_numpy() < FEWEST_TO_LEARN_FROM]
    if len(few):
        names = " and ".join(escape(str(target)) for target in few)
        whose = f", as of {names}," if len(few) < node.sizes["target"] else ""
        table.caption += (
            f"; fewer than {FEWEST_TO_LEARN_FROM} chains{whose} are too few to learn much from: a low or negative "
            "R squared says little of what attention could tell"
        )
    return keep_words_whole(table)


def group_table(result: xr.DataTree, *, node_name: str = "surrogate") -> list[Table]:
    """Return a table of what the perceptron's correlation loses if a group of features is shuffled.

    It has one row a group and target: every kind of feature, and of many layers those with the greatest loss within
    chains. The list is empty if no group was shuffled.

    Parameters
    ----------
    result
        A result that the analysis has been run on.
    node_name
        Name of the node (`tokimp.results.analysis_nodes.node_name`).

    Raises
    ------
    SchemaError
        If the analysis has not been run.
    """
    node = analysis_node(result, node_name)
    if "group_drop" not in node:
        return []
    table = new_table("Surrogate: what Pearson's correlation loses where the features of a group are shuffled")
    table.add_column("target")
    table.add_column("features")
    scopes = [str(scope) for scope in node["scope"].to_numpy()]
    for scope in scopes:
        table.add_column(_SCOPES[scope], justify="right")
    for target in node["target"].to_numpy():
        of_target = node.sel(target=target)
        used = int(of_target["chains_used"])
        for index, group in enumerate(_groups_to_show(of_target)):
            cells = [of_target.sel(scope=scope, group=group) for scope in scopes]
            texts = [interval_of(cell, "group_drop", used) for cell in cells]
            table.add_row(escape(str(target)) if not index else "", escape(group), *texts)
        table.add_section()
    table.caption = "of the perceptron on attention, on held-out chains; shuffled among all units, or within each chain"
    if _has_more_layers(node):
        table.caption += (
            f"; of {int(node.attrs['layers'])} layers the {MOST_LAYERS} with the greatest loss within chains, for each "
            "target; the result holds all"
        )
    return [keep_words_whole(table)]


def _has_more_layers(node: xr.Dataset) -> bool:
    """Return whether there are more layers than a table or a figure has room for."""
    return int(node.attrs["layers"]) > MOST_LAYERS


def _groups_to_show(of_target: xr.Dataset) -> list[str]:
    """Return the groups of features to show for one target: all kinds, and the layers with the greatest loss."""
    groups = [str(group) for group in of_target["group"].to_numpy()]
    layers = [group for group in groups if group.startswith("layer ")]
    lost = of_target["group_drop"].sel(scope="within", group=layers).to_numpy()
    # NaN sorts last.
    shown = {layers[place] for place in np.argsort(-lost, kind="stable")[:MOST_LAYERS]}
    return [group for group in groups if group not in layers or group in shown]


def draw_surrogate(result: xr.DataTree, *, node_name: str = "surrogate") -> Figure:
    """Draw held-out predictions against the values of each target, and the drops of the groups of features.

    Parameters
    ----------
    result
        A result that the analysis has been run on.
    node_name
        Name of the node (`tokimp.results.analysis_nodes.node_name`).

    Raises
    ------
    SchemaError
        If the analysis has not been run.
    """
    node = analysis_node(result, node_name)
    targets = [str(target) for target in node["target"].to_numpy()]
    has_groups = "group_drop" in node
    columns = 3 if has_groups else 2
    size = (3.9 * columns, 3.6 * len(targets) + 0.4)
    figure = Figure(figsize=size, facecolor=PAPER, layout="constrained")
    grid = figure.subplots(len(targets), columns, squeeze=False)
    for row, target in zip(grid, targets, strict=True):
        of_target, unit = node.sel(target=target), _unit_text(result, target)
        for axis, model in zip(row, ("mlp", "position"), strict=False):
            _draw_predictions(axis, of_target.sel(model=model), _MODELS[model], target, unit)
        if has_groups:
            _draw_drops(row[2], of_target)
    used = int(node["chains_used"].max())
    note = chains_text(used, node.attrs["confidence"]) if has_groups else f"{used} chains"
    # Panels of predictions have no legend; the legend of the drops says which mark is which scope.
    finish(figure, grid[0][-1], f"surrogates, {note}, each predicted by models fitted on other questions")
    return figure


def _unit_text(result: xr.DataTree, target: str) -> str:
    """Return the text to put after a target's name for its unit; empty if the estimator has a scale of its own."""
    kind, _, label = target.partition(":")
    if kind == "rank":
        return " (0 goes first, 1 last)"
    # A fall of log-likelihood is in nats; objectives of other packages may have another unit.
    is_fall = label.partition(":")[0] == "leave_one_out" and result.attrs["objective"] in _IN_NATS
    return ", nats" if kind in {"deleted", "path"} or is_fall else ""


def _draw_predictions(axis: Axes, node: xr.Dataset, model: str, target: str, unit: str) -> None:
    value, prediction = node["value"].to_numpy(), node["prediction"].to_numpy()
    # Rasterised, since thousands of points would make an SVG file large.
    axis.plot(value, prediction, ".", color=COLOURS[0], markersize=2, alpha=0.5, rasterized=True)
    both = np.concatenate([value, prediction])
    ends = [np.nanmin(both), np.nanmax(both)]
    axis.plot(ends, ends, color="#7a7a7a", linewidth=1, linestyle="--")
    correlation = node.sel(measure="pearson", partial=False)["correlation"]
    pooled, within = (float(correlation.sel(scope=scope)) for scope in ("pooled", "within"))
    axis.set_title(f"{model}\nr {pooled:.2f}, within chains {within:.2f}", fontsize=9)
    axis.set_xlabel(f"{target}{unit}", fontsize=9, parse_math=False)
    axis.set_ylabel(f"predicted{unit}", fontsize=9)
    axis.tick_params(labelsize=8)
    axis.grid(alpha=0.3)


def _draw_drops(axis: Axes, node: xr.Dataset) -> None:
    groups = _groups_to_show(node)
    enough = not few_chains(int(node["chains_used"]))
    for index, scope in enumerate(node["scope"].to_numpy()):
        value, low, high = (
            node[f"group_drop{end}"].sel(scope=scope, group=groups).to_numpy() for end in ("", "_low", "_high")
        )
        spread = np.clip(np.stack([value - low, high - value]), 0, None) if enough else None
        height = np.arange(len(groups)) + 0.2 * (2 * index - 1)
        name = _SCOPES[str(scope)]
        axis.errorbar(value, height, xerr=spread, fmt="os"[index], color=COLOURS[index], markersize=3, label=name)
    axis.axvline(0, color="#7a7a7a", linewidth=1, linestyle="--")
    axis.set_yticks(range(len(groups)), groups, fontsize=7, parse_math=False)
    axis.invert_yaxis()
    layers = f"\n{MOST_LAYERS} of {int(node.attrs['layers'])} layers" if _has_more_layers(node) else ""
    axis.set_title(f"features shuffled: loss of r{layers}", fontsize=9)
    axis.set_xlabel("Pearson's r lost on held-out chains", fontsize=9)
    axis.tick_params(axis="x", labelsize=8)
    axis.locator_params(axis="x", nbins=5)
    axis.grid(alpha=0.3)


def _span(counts: list[int]) -> str:
    """Return one count, or the least and the greatest of several in ascending order, as text."""
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
