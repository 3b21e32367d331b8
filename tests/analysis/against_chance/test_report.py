"""Tables of numbers beside random orders and position: what stands in the cells and below."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from rich.console import Console

from tokimp.analysis.against_chance.comparison import Comparison, undefined_variables
from tokimp.analysis.against_chance.conclusion import Panel
from tokimp.analysis.against_chance.report import comparison_tables, operators_of


def node(*, own_references: bool = False, operators: int = 2) -> xr.Dataset:
    """Return a node of three estimators on twelve chains: one far above chance, one like it, one on nine chains."""
    generator = np.random.default_rng(0)
    value = 0.1 * generator.normal(size=(operators, 3, 12))
    value[:, 0] += 1
    value[:, 2, :3] = np.nan
    shape = (operators, 3) if own_references else (operators,)
    compared = Comparison(
        value, 0.1 * generator.normal(size=(*shape, 12)), 0.1 * generator.normal(size=(*shape, 4, 12))
    )
    silent = np.zeros((3, 12), dtype=bool)
    silent[2, 0] = True
    undefined = undefined_variables(("operator",), value, silent, {"it was flat": np.array(True)})
    variables: dict[str, Any] = {**compared.variables(("operator",), 0.95), **undefined}
    return xr.Dataset(
        variables,
        coords={"operator": ["delete", "mask"][:operators], "estimator": ["good", "[x]", "part"]},
        attrs={"confidence": 0.95},
    )


def shown(table: Any) -> str:
    """Return a table as it is printed, on one wide terminal."""
    console = Console(width=400, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123 - printed nowhere
    console.print(table)
    return console.export_text()


def test_a_table_for_each_number_and_operator() -> None:
    """Titles name the number and the operator, and only the last table of a number concludes for all operators."""
    tables = comparison_tables(node(), "Numbers", [Panel("one"), Panel("two", better="low")], "A foot.")
    titles = [str(table.title).split(" (")[0] for table in tables]
    assert titles == [
        f"Numbers: {number}, by {operator}" for number in ("one", "two") for operator in ("delete", "mask")
    ]
    captions = [str(table.caption) for table in tables]
    assert ["by delete and mask" in caption for caption in captions] == [False, True, False, True]
    assert ["A foot." in caption for caption in captions] == [True, False, False, False]
    assert all("In conclusion" in caption for caption in captions)


def test_what_is_told_has_a_star_and_what_is_missing_is_counted() -> None:
    """Differences told from a reference have a star; chains without a value are counted, by reason."""
    text = shown(comparison_tables(node(operators=1), "Numbers", [Panel("one")])[0])
    good = next(line for line in text.splitlines() if line.startswith(" good"))
    alike = next(line for line in text.splitlines() if line.startswith(" [x]"))
    assert good.count("]*") == 2
    assert "*" not in alike
    assert "part (over 9)" in text
    said = "0 to 1 because it says nothing of the chain; 0 to 2 because it was flat"
    assert f"Over 12 chains; chains without a value, by estimator: {said}; a star marks" in " ".join(text.split())


def test_references_of_all_estimators_have_rows_of_their_own() -> None:
    """Random orders and position have a row where they are the same for all, and none where each has its own."""
    for own in (False, True):
        text = shown(comparison_tables(node(own_references=own), "Numbers", [Panel("one")])[0])
        assert (" random orders  " in text.split("minus position")[1]) == (not own)


def test_a_node_without_operators_has_one_table() -> None:
    """Its title names no operator, and nor does its conclusion."""
    without = node(operators=1).isel(operator=0, drop=True)
    assert operators_of(without) == []
    (table,) = comparison_tables(without, "Numbers", [Panel("one")])
    assert str(table.title).startswith("Numbers: one (")
    assert "In conclusion, good is better than random orders" in str(table.caption)
