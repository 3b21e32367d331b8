"""Table of the faithfulness, read off their cells and artists."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO

import pytest
import xarray as xr
from rich.console import Console
from rich.table import Table

import tokimp as ti
from tokimp.analysis.faithfulness.report import curve_table, faithfulness_table
from tokimp.errors import SchemaError
from tokimp.report.terminal import print_whole
from tokimp.results.analysis_nodes import analysis_node
from tokimp.testing import AdditiveScorer, toy_chain
from tokimp.testing.toy_result import toy_result


def printed(table: Table, width: int = 200) -> str:
    """Return a table as a terminal of a width shows it."""
    console = Console(file=StringIO(), width=width)
    print_whole(console, table)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def faithful(n_chains: int = 6) -> xr.DataTree:
    """Return a result with the analysis of chains that differ."""
    scorer = AdditiveScorer({letter: float(index) for index, letter in enumerate("abcdef", start=1)}, answer_base=-30.0)
    chains = [toy_chain("abcdef"[: 3 + index % 4], id=str(index)) for index in range(n_chains)]
    rising = [list(range(len(chain.units))) for chain in chains]
    result = toy_result({"true": rising, "b[x]_$1$": [row[::-1] for row in rising]}, chains, scorer)
    return ti.analyze(result, "faithfulness", scorer=scorer, chains=chains, n_uniform=2)


def test_the_faithfulness_table_has_areas_drops_and_the_random_orders() -> None:
    """One row an estimator with means and intervals, and a row of the draws' range."""
    tree = faithful()
    text = printed(faithfulness_table(tree))
    node = analysis_node(tree, "faithfulness").sel(measure="answer")
    row = next(part for part in text.splitlines() if "true" in part)
    for value in (
        node["area_mean"].sel(estimator="true", curve="least_first"),
        node["area_high"].sel(estimator="true", curve="most_first"),
        node["comprehensiveness_mean"].sel(estimator="true"),
        node["sufficiency_low"].sel(estimator="true"),
    ):
        assert f"{float(value):.2f}" in row
    random = next(part for part in text.splitlines() if "random orders" in part)
    assert f"{float(node['uniform_comprehensiveness_low']):.2f}" in random
    assert "over 6 chains" in text
    assert "b[x]_$1$" in text


def test_joint_likelihoods_are_shown_at_single_keep_ratios() -> None:
    """What is about other tokens at each keep ratio has no area: its curves are shown point by point, which is said."""
    tree = faithful()
    node = analysis_node(tree, "faithfulness").sel(measure="joint_per_token")
    table = curve_table(tree, keep_ratios=(0.5,))
    assert [column.header for column in table.columns] == ["estimator", "least first, 0.5 kept", "most first, 0.5 kept"]
    row = next(part for part in printed(table).splitlines() if "true" in part)
    for curve in ("least_first", "most_first"):
        assert f"{float(node['mean'].sel(estimator='true', curve=curve, keep_ratio=0.5)):.2f}" in row
    assert "compare within a column only" in str(table.caption)


def test_few_chains_have_no_intervals() -> None:
    """Under five chains the means stand alone, and the title promises no more."""
    few, many = faithful(2), faithful(5)
    text = printed(faithfulness_table(few))
    row = next(part for part in text.splitlines() if "true" in part)
    assert "[" not in row
    assert str(faithfulness_table(few).title).endswith("(mean over chains)")
    assert str(faithfulness_table(many).title).endswith("(mean, 95% interval over chains)")


def test_an_estimator_that_stopped_early_is_named_where_it_has_dashes() -> None:
    """The feet say which one did not delete so far, and of the others nothing."""
    scorer = AdditiveScorer({letter: float(index) for index, letter in enumerate("abcdef", start=1)}, answer_base=-30.0)
    chains = [toy_chain("fbdace", id=str(index)) for index in range(5)]
    short = [
        ti.load_estimator("greedy:keep_ratio=0.5").estimate(chain, scorer, ti.load_objective("joint"))
        for chain in chains
    ]
    result = toy_result({"[short]": short, "whole": [list(range(6))] * 5}, chains, scorer)
    tree = ti.analyze(result, "faithfulness", scorer=scorer, chains=chains, n_uniform=2)
    table = faithfulness_table(tree)
    said = str(table.caption)
    assert r"\[short] did not delete down to keep ratio 0.1: a curve that is not whole has no area" in said
    (row,) = (part for part in printed(table).splitlines() if part.strip().startswith("[short] ") and "-" in part)
    assert row.split() == ["[short]", *"----"]
    reached = ti.analyze(
        result,
        "faithfulness",
        scorer=scorer,
        chains=chains,
        keep_ratios=[0.5, 1.0],
        rationale_shares=[0.5],
        n_uniform=1,
    )
    assert "did not delete" not in str(faithfulness_table(reached).caption)


@pytest.mark.parametrize("show", [curve_table, faithfulness_table])
def test_what_has_not_been_analysed_is_refused(show: Callable[[xr.DataTree], object]) -> None:
    """The error says which analysis to run."""
    with pytest.raises(SchemaError, match=r"run tokimp\.analyze"):
        show(toy_result({"a": [[1.0, 2.0]]}))
