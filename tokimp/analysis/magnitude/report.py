"""Tables and figure of the magnitude aligned scores, monotonicity and its correlation."""

from __future__ import annotations

import xarray as xr
from matplotlib.figure import Figure
from rich.table import Table

from tokimp.analysis.against_chance.answer_measures import ANSWER_MEASURES
from tokimp.analysis.against_chance.conclusion import Panel
from tokimp.analysis.against_chance.report import comparison_tables, draw_comparison
from tokimp.results.analysis_nodes import analysis_node

_AREAS = [
    Panel("MAS of deletion", {"score": "deletion_mas"}, "low"),
    Panel("MAS of insertion", {"score": "insertion_mas"}, "high"),
]
_STEPS = [
    Panel("monotonicity", {"score": "monotonicity"}, "high"),
    Panel("monotonicity correlation", {"score": "monotonicity_correlation"}, "high"),
]


def magnitude_tables(result: xr.DataTree, *, node_name: str = "magnitude") -> list[Table]:
    """Return a table for each score and operator: every estimator, beside random orders and position.

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
    foot = "Random orders and position have the estimator's own importances, in another order."
    title = f"Sizes of importance, {ANSWER_MEASURES[node.attrs['measure']]}"
    return comparison_tables(node, title, [*_AREAS, *_STEPS], foot)


def draw_magnitude(result: xr.DataTree, *, node_name: str = "magnitude") -> Figure:
    """Draw the scores of every estimator by each operator, beside random orders and position of the same sizes.

    Parameters
    ----------
    result, node_name
        As of `magnitude_tables`.

    Raises
    ------
    SchemaError
        If the analysis has not been run.
    """
    node = analysis_node(result, node_name)
    return draw_comparison(node, [*_AREAS, *_STEPS], f"sizes of importance, by {result.attrs['unit']}")
