"""Tables and figure of the normalised area over the perturbation curve."""

from __future__ import annotations

import xarray as xr
from matplotlib.figure import Figure
from rich.table import Table

from tokimp.analysis.against_chance.answer_measures import ANSWER_MEASURES
from tokimp.analysis.against_chance.conclusion import Panel
from tokimp.analysis.against_chance.report import comparison_tables, draw_comparison
from tokimp.results.analysis_nodes import analysis_node

_PANELS = [
    Panel("comprehensiveness", {"side": "comprehensiveness"}, "high"),
    Panel("sufficiency", {"side": "sufficiency"}, "low"),
]


def naopc_tables(result: xr.DataTree, *, node_name: str = "naopc") -> list[Table]:
    """Return a table for each side and operator: every estimator, beside random orders and position.

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
    searched = int((~node["exact"]).sum())
    foot = f"The limits of {searched} of them are from a beam search." if searched else "All limits are exact."
    title = f"Normalised area over the perturbation curve, {ANSWER_MEASURES[node.attrs['measure']]}"
    return comparison_tables(node, title, _PANELS, foot)


def draw_naopc(result: xr.DataTree, *, node_name: str = "naopc") -> Figure:
    """Draw both sides of every estimator by each operator, beside random orders and position.

    Parameters
    ----------
    result, node_name
        As of `naopc_tables`.

    Raises
    ------
    SchemaError
        If the analysis has not been run.
    """
    node = analysis_node(result, node_name)
    note = f"normalised area over the perturbation curve (0 worst order, 1 best), by {result.attrs['unit']}"
    return draw_comparison(node, _PANELS, note)
