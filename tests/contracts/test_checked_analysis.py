"""The border to an analysis's code: a sentence names the analysis and what was expected."""

from __future__ import annotations

from typing import Any

import pytest
import xarray as xr
from matplotlib.figure import Figure
from rich.table import Table

from tokimp.contracts.analysis import Analysis, AnalysisInput
from tokimp.contracts.checked_analysis import figure_of, node_of, tables_of
from tokimp.errors import AnalysisError


class Showing(Analysis):
    """Shows what it is told to, or raises it."""

    name = "showing"
    shown: Any = None

    def compute(self, inputs: AnalysisInput) -> xr.Dataset:
        """Return it."""
        node: xr.Dataset = self._given()
        return node

    def tables(self, result: xr.DataTree) -> list[Table]:
        """Return it."""
        tables: list[Table] = self._given()
        return tables

    def figure(self, result: xr.DataTree) -> Figure | None:
        """Return it."""
        figure: Figure | None = self._given()
        return figure

    def _given(self) -> Any:
        if isinstance(self.shown, BaseException):
            raise self.shown
        return self.shown


def unprintable() -> Table:
    """Return a table that rich accepts and cannot print."""
    table = Table("a")
    table.add_row("[/]")
    return table


@pytest.mark.parametrize(
    ("shown", "reason"),
    [
        (None, "returned None; a list of rich.table.Table was expected"),
        (Table("a"), "returned a rich.Table; a list of"),
        (["a"], "returned a str in its list; rich.table.Table was expected"),
        ([Table], r"returned the class Table \(not an instance of it\) in its list"),
        ([unprintable()], "failed with MarkupError"),
        (SystemExit(1), "failed with SystemExit: 1"),
        (IndexError("gone"), "failed with IndexError: gone"),
    ],
)
def test_tables_that_break_the_contract(shown: Any, reason: str) -> None:
    """The message names the analysis, and says that it was asked for its tables."""
    analysis = Showing()
    analysis.shown = shown
    with pytest.raises(AnalysisError, match=rf"^the analysis 'showing', asked for its tables, {reason}"):
        tables_of(analysis, xr.DataTree())


@pytest.mark.parametrize(
    ("shown", "reason"),
    [
        ("figure.png", "returned a str; a matplotlib Figure was expected, or None"),
        (Figure, r"returned the class Figure \(not an instance of it\)"),
        (Figure().subplots(), "returned a matplotlib.Axes"),
        (SystemExit(1), "failed with SystemExit: 1"),
    ],
)
def test_a_figure_that_breaks_the_contract(shown: Any, reason: str) -> None:
    """The message names the analysis, and says that it was asked for its figure."""
    analysis = Showing()
    analysis.shown = shown
    with pytest.raises(AnalysisError, match=rf"^the analysis 'showing', asked for its figure, {reason}"):
        figure_of(analysis, xr.DataTree())


def test_tables_and_figures_come_out_as_they_are() -> None:
    """A table is not changed by being tried, and an analysis need not draw anything."""
    analysis, table, figure = Showing(), Table("a"), Figure()
    analysis.shown = [table]
    assert tables_of(analysis, xr.DataTree()) == [table]
    analysis.shown = figure
    assert figure_of(analysis, xr.DataTree()) is figure
    analysis.shown = None
    assert figure_of(analysis, xr.DataTree()) is None


@pytest.mark.parametrize("node", [None, xr.DataArray([1.0]), {"a": 1}])
def test_a_node_that_breaks_the_contract(node: Any) -> None:
    """What an analysis computes is a Dataset."""
    analysis = Showing()
    analysis.shown = node
    with pytest.raises(AnalysisError, match=r"^the analysis 'showing' returned .*; an xarray.Dataset was expected"):
        node_of(analysis, AnalysisInput(xr.DataTree()))
