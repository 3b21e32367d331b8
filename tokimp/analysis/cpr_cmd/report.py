"""Tables and figure of what the most important units recover."""

from __future__ import annotations

import xarray as xr
from matplotlib.figure import Figure
from rich.table import Table

from tokimp.analysis.against_chance.answer_measures import ANSWER_MEASURES
from tokimp.analysis.against_chance.conclusion import Panel
from tokimp.analysis.against_chance.report import comparison_tables
from tokimp.report import plot
from tokimp.results.analysis_nodes import analysis_node

_PANELS = [Panel("CPR", {"area": "cpr"}, "high"), Panel("CMD", {"area": "cmd"}, "low")]


def cpr_cmd_tables(result: xr.DataTree, *, node_name: str = "cpr_cmd") -> list[Table]:
    """Return a table for each area and operator: every estimator, beside random orders and position.

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
    title = f"Recovery by the most important units, {ANSWER_MEASURES[node.attrs['measure']]}"
    foot = "CPR and CMD are of the means of all chains, so that a chain alone has none."
    return comparison_tables(node, title, _PANELS, foot)


def draw_cpr_cmd(result: xr.DataTree, *, node_name: str = "cpr_cmd") -> Figure:
    """Draw the recovery curves of every estimator and operator: by importance, and by absolute importance.

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
    details = f"model {node.attrs['model_id']}, by {result.attrs['unit']}"
    return plot.recovery_curves(node, "Recovery by the most important units", details).figure
