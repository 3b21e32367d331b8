"""Tables and figure of the soft sufficiency and comprehensiveness."""

from __future__ import annotations

import xarray as xr
from matplotlib.figure import Figure
from rich.table import Table

from tokimp.analysis.against_chance.answer_measures import ANSWER_MEASURES
from tokimp.analysis.against_chance.conclusion import Panel
from tokimp.analysis.against_chance.report import comparison_tables, draw_comparison
from tokimp.results.analysis_nodes import analysis_node

_PANELS = [
    Panel("Soft-NS", {"side": "soft_sufficiency"}, "high"),
    Panel("Soft-NC", {"side": "soft_comprehensiveness"}, "high"),
]


def soft_faithfulness_tables(result: xr.DataTree, *, node_name: str = "soft_faithfulness") -> list[Table]:
    """Return a table for each side and stand-in: every estimator, beside random orders and position.

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
    measure = ANSWER_MEASURES[node.attrs["measure"]]
    return comparison_tables(node, f"Coordinates of embeddings replaced, {measure}", _PANELS)


def draw_soft_faithfulness(result: xr.DataTree, *, node_name: str = "soft_faithfulness") -> Figure:
    """Draw both sides of every estimator with each stand-in, beside random orders and position.

    Parameters
    ----------
    result, node_name
        As of `soft_faithfulness_tables`.

    Raises
    ------
    SchemaError
        If the analysis has not been run.
    """
    node = analysis_node(result, node_name)
    note = f"soft sufficiency and comprehensiveness, coordinates replaced, by {result.attrs['unit']}"
    return draw_comparison(node, _PANELS, note)
