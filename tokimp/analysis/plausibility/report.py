"""Table and figure of the plausibility."""

from __future__ import annotations

import xarray as xr
from matplotlib.figure import Figure
from rich.table import Table

from tokimp.analysis.against_chance.conclusion import Panel
from tokimp.analysis.against_chance.report import comparison_tables, draw_comparison
from tokimp.report.number_texts import number_text
from tokimp.results.analysis_nodes import analysis_node

_PANELS = [
    Panel("average precision", {"score": "average_precision"}),
    Panel("F1", {"score": "f1"}),
    Panel("F1 of spans", {"score": "iou_f1"}),
]


def plausibility_tables(result: xr.DataTree, *, node_name: str = "plausibility") -> list[Table]:
    """Return tables of average precision and F1 of every estimator, beside random orders and position.

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
    share = number_text(float(node["prevalence"].mean()))
    foot = f"On average {share} of a chain's units are marked. This is plausibility, which is not faithfulness."
    return comparison_tables(node, f"Plausibility against {_marks(node)}", _PANELS, foot)


def draw_plausibility(result: xr.DataTree, *, node_name: str = "plausibility") -> Figure:
    """Draw average precision and F1 of every estimator, beside random orders and position.

    Parameters
    ----------
    result, node_name
        As of `plausibility_tables`.

    Raises
    ------
    SchemaError
        If the analysis has not been run.
    """
    node = analysis_node(result, node_name)
    return draw_comparison(node, _PANELS, f"plausibility against {_marks(node)}, by {result.attrs['unit']}")


def _marks(node: xr.Dataset) -> str:
    """Return what is marked, in words."""
    if node.attrs["marks"] == "filler":
        return "units that are no planted filler"
    return f"units of the category {node.attrs['categories']}"
