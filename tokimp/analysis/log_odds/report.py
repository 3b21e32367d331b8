"""Tables and figure of the log-odds of the answer."""

from __future__ import annotations

import xarray as xr
from matplotlib.figure import Figure
from rich.table import Table

from tokimp.analysis.against_chance.conclusion import Panel
from tokimp.analysis.against_chance.report import comparison_tables, draw_comparison
from tokimp.results.analysis_nodes import analysis_node

_PANELS = [Panel("log-odds", better="low")]


def log_odds_tables(result: xr.DataTree, share: float, *, node_name: str = "log_odds") -> list[Table]:
    """Return a table for each operator: the change of every estimator, beside random orders and position.

    Parameters
    ----------
    result
        A result that the analysis has been run on.
    share
        The share of units that was replaced.
    node_name
        Name of the node (`tokimp.results.analysis_nodes.node_name`).

    Raises
    ------
    SchemaError
        If the analysis has not been run.
    """
    node = analysis_node(result, node_name)
    title = f"Answer without the most important {share:.0%} of units, nats"
    return comparison_tables(node, title, _PANELS)


def draw_log_odds(result: xr.DataTree, *, node_name: str = "log_odds") -> Figure:
    """Draw the change of every estimator by each operator, beside random orders and position.

    Parameters
    ----------
    result, node_name
        As of `log_odds_tables`, without the share.

    Raises
    ------
    SchemaError
        If the analysis has not been run.
    """
    node = analysis_node(result, node_name)
    note = f"log-odds of the answer without the most important units, nats, by {result.attrs['unit']}"
    return draw_comparison(node, _PANELS, note)
