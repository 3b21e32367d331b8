"""Tables and figure of the magnitude aligned scores, monotonicity and its correlation."""

from __future__ import annotations

import xarray as xr
from matplotlib.figure import Figure
from rich.table import Table

from tokimp.analysis.against_chance.answer_measures import ANSWER_MEASURES
from tokimp.analysis.against_chance.conclusion import Panel
from tokimp.analysis.against_chance.report import comparison_table, draw_comparison, operators_of
from tokimp.results.analysis_nodes import analysis_node

_AREAS = [
    Panel("MAS of deletion", {"score": "deletion_mas"}, "low"),
    Panel("MAS of insertion", {"score": "insertion_mas"}, "high"),
]
_STEPS = [
    Panel("monotonicity", {"score": "monotonicity"}, "high"),
    Panel("its correlation with single deletions", {"score": "monotonicity_correlation"}, "high"),
]


def magnitude_tables(result: xr.DataTree, *, node_name: str = "magnitude") -> list[Table]:
    """Return two tables for each operator: magnitude aligned scores, and monotonicity with its correlation.

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
    foot = "random orders and position have the estimator's own sizes, in another order"
    titles = ((f"Magnitude aligned scores, {measure},", _AREAS), (f"Monotonicity, {measure},", _STEPS))
    return [
        comparison_table(node, title, panels, operator, foot)
        for title, panels in titles
        for operator in operators_of(node)
    ]


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
