"""An analysis's answers, checked where they enter: its node, its tables and its figure."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import xarray as xr

from tokimp.contracts.analysis import Analysis, AnalysisInput
from tokimp.contracts.plugin_output import described, plugin_code
from tokimp.errors import AnalysisError, TokimpError

if TYPE_CHECKING:  # slow to import, and needed only once there is something to print or draw
    from matplotlib.figure import Figure
    from rich.table import Table


def node_of(analysis: Analysis, inputs: AnalysisInput) -> xr.Dataset:
    """Return the dataset that an analysis computes; see `tokimp.contracts.analysis.Analysis.compute`.

    Raises
    ------
    AnalysisError
        If the analysis fails, or returns anything but a Dataset.
    """
    name = f"the analysis {analysis.name!r}"
    with plugin_code(name, AnalysisError, passed_on=TokimpError):
        node: Any = analysis.compute(inputs)
    if not isinstance(node, xr.Dataset):
        raise AnalysisError(f"{name} returned {described(node)}; an xarray.Dataset was expected")
    return node


def tables_of(analysis: Analysis, result: xr.DataTree) -> list[Table]:
    """Return the tables of an analysis for a result that it has been run on.

    Raises
    ------
    AnalysisError
        If the analysis fails, or returns anything but a list of rich's tables that can be printed.
    """
    from rich.console import Console  # noqa: PLC0415 - see above
    from rich.table import Table  # noqa: PLC0415

    name = f"the analysis {analysis.name!r}, asked for its tables,"
    with plugin_code(name, AnalysisError, passed_on=TokimpError):
        tables: Any = analysis.tables(result)
    if not isinstance(tables, list | tuple):
        raise AnalysisError(f"{name} returned {described(tables)}; a list of rich.table.Table was expected")
    for table in tables:
        if not isinstance(table, Table):
            raise AnalysisError(f"{name} returned {described(table)} in its list; rich.table.Table was expected")
        # A cell may hold anything; whether it can be printed shows only when it is.
        with plugin_code(name, AnalysisError):
            Console(file=io.StringIO(), width=200).print(table)
    return list(tables)


def figure_of(analysis: Analysis, result: xr.DataTree) -> Figure | None:
    """Return the figure of an analysis for a result that it has been run on; ``None`` if it draws none.

    Raises
    ------
    AnalysisError
        If the analysis fails, or returns anything but a figure of matplotlib's or ``None``.
    """
    name = f"the analysis {analysis.name!r}, asked for its figure,"
    with plugin_code(name, AnalysisError, passed_on=TokimpError):
        figure: Any = analysis.figure(result)
    if figure is None:
        return None
    from matplotlib.figure import Figure  # noqa: PLC0415 - see above

    if not isinstance(figure, Figure):
        raise AnalysisError(f"{name} returned {described(figure)}; a matplotlib Figure was expected, or None")
    return figure
