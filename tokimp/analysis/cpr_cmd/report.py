"""Tables and figure of what the most important units recover."""

from __future__ import annotations

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.table import Table

from tokimp.analysis.against_chance.answer_measures import ANSWER_MEASURES
from tokimp.analysis.against_chance.conclusion import Panel
from tokimp.analysis.against_chance.report import comparison_table, operators_of
from tokimp.report.figure_style import BAND, PAPER, finish, line_look
from tokimp.results.analysis_nodes import analysis_node

_PANELS = [Panel("CPR", {"area": "cpr"}, "high"), Panel("CMD", {"area": "cmd"}, "low")]


def cpr_cmd_tables(result: xr.DataTree, *, node_name: str = "cpr_cmd") -> list[Table]:
    """Return a table for each operator: both areas of every estimator, beside random orders and position.

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
    title = f"Recovery by the most important units, {ANSWER_MEASURES[node.attrs['measure']]},"
    foot = "CPR and CMD are of the means of all chains, so that a chain alone has none"
    return [comparison_table(node, title, _PANELS, operator, foot) for operator in operators_of(node)]


def draw_cpr_cmd(result: xr.DataTree, *, node_name: str = "cpr_cmd") -> Figure:
    """Draw the recovery curves of every estimator, a row for each operator: by importance, and by absolute importance.

    The grey band spans random orders, the dotted line is position, and the thin line at 1 is the whole reasoning.

    Parameters
    ----------
    result, node_name
        As of `cpr_cmd_tables`.

    Raises
    ------
    SchemaError
        If the analysis has not been run.
    """
    node = analysis_node(result, node_name)
    operators = operators_of(node)
    figure = Figure(figsize=(10.0, 3.4 * len(operators) + 0.9), facecolor=PAPER, layout="constrained")
    grid = figure.subplots(len(operators), len(_PANELS), squeeze=False, sharex=True, sharey="row")
    for row, operator in zip(grid, operators, strict=True):
        for axis, panel in zip(row, _PANELS, strict=True):
            _draw_curves(axis, node.sel(operator=operator, **panel.where))
        row[0].set_title(f"by {operator}: CPR, the area below", fontsize=9)
        row[1].set_title(f"by {operator}: CMD, the area between the curve and 1", fontsize=9)
        row[0].set_ylabel("share of the reasoning's effect recovered", fontsize=9)
    for axis, ranked in zip(grid[-1], ("importance", "absolute importance"), strict=True):
        axis.set_xlabel(f"share of units kept, by {ranked}", fontsize=9)
    note = f"recovery by the most important units, by {result.attrs['unit']}; means of {node.sizes['chain']} chains"
    finish(figure, grid[0][0], note)
    return figure


def _draw_curves(axis: Axes, part: xr.Dataset) -> None:
    shares = part["share"].to_numpy()
    band = part["uniform_curve"].to_numpy()
    axis.fill_between(shares, band.min(axis=0), band.max(axis=0), color=BAND, linewidth=0, label="random orders")
    axis.plot(shares, part["position_curve"].to_numpy(), color="#4a4a4a", linestyle=":", label="position")
    axis.axhline(1, color="#7a7a7a", linewidth=0.8)
    for index, label in enumerate(part["estimator"].to_numpy()):
        curve = part["curve"].sel(estimator=label).to_numpy()
        axis.plot(shares, curve, label=str(label), **line_look(index), markersize=3, linewidth=1.2)
    axis.tick_params(labelsize=8)
    axis.grid(alpha=0.3)
