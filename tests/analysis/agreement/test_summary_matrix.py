"""The agreement of many estimators as one matrix: its numbers, its stars, and the width of a terminal."""

from __future__ import annotations

from io import StringIO

import numpy as np
import pytest
import xarray as xr
from rich.console import Console

import tokimp as ti
from tokimp.analysis.agreement.summary_matrix import summary_matrix
from tokimp.analysis.comparison_report import print_report
from tokimp.report.agreement_means import agreement_means
from tokimp.report.terminal import print_whole, table_parts
from tokimp.results.analysis_nodes import analysis_node
from tokimp.testing.toy_result import toy_result
from tokimp.testing.toy_scorer import toy_chain


def ranked(n_estimators: int, n_chains: int = 8) -> xr.DataTree:
    """Return a result of estimators that rank ten units at random, with their agreement; two follow each other."""
    draw = np.random.default_rng(0)
    scores = {f"method_{place}": [draw.normal(size=10) for _ in range(n_chains)] for place in range(n_estimators)}
    scores["method_1"] = [row + 0.3 * draw.normal(size=10) for row in scores["method_0"]]
    chains = [toy_chain("x" * 10, id=str(number), question=str(number)) for number in range(n_chains)]
    return ti.analyze(toy_result(scores, chains), "agreement")


def test_cells_are_the_means_and_stars_what_is_told_from_chance() -> None:
    """Below the diagonal as it is, above it beyond place; the pair that agrees has stars on both sides."""
    tree = ranked(5)
    table = summary_matrix(tree)
    as_it_is, beyond = agreement_means(analysis_node(tree, "agreement").sel(measure="spearman"))
    columns = [list(column.cells) for column in table.columns]
    assert columns[0] == [f"{place + 1} method_{place}" for place in range(5)]
    for row, column in np.ndindex(5, 5):
        cell = str(columns[column + 1][row]).strip()
        if row == column:
            assert cell == ""
            continue
        means = beyond if column > row else as_it_is
        assert float(cell.rstrip("*")) == round(float(means.mean[row, column]), 2)
        assert cell.endswith("*") == means.is_told[row, column]
    assert str(columns[1][1]).endswith("*")
    assert str(columns[2][0]).endswith("*")


@pytest.mark.slow
def test_twelve_estimators_fit_a_hundred_columns_and_more_are_in_parts() -> None:
    """A page shows twelve at once; of twenty, each part names its rows, and no line is longer."""
    console = Console(file=StringIO(), width=100)
    assert len(table_parts(console, summary_matrix(ranked(12)))) == 1
    many = summary_matrix(ranked(20))
    assert len(table_parts(console, many)) == 2
    print_whole(console, many)
    assert isinstance(console.file, StringIO)
    written = console.file.getvalue()
    assert max(map(len, written.splitlines())) <= 100
    assert written.count("20 method_19") == 2


def test_few_chains_have_no_stars() -> None:
    """Under five chains nothing is told from chance, which the foot says."""
    table = summary_matrix(ranked(5, n_chains=3))
    assert not any("*" in str(cell) for column in table.columns for cell in column.cells)
    assert "too few chains" in str(table.caption)


def test_the_report_of_many_estimators_has_a_matrix_and_a_sentence() -> None:
    """With nine estimators the pairs are left to the analysis, as the report says; with three all are there."""
    written = {}
    for n_estimators in (3, 9):
        console = Console(file=StringIO(), width=100)
        print_report(ranked(n_estimators), console)
        assert isinstance(console.file, StringIO)
        written[n_estimators] = " ".join(console.file.getvalue().split())
    assert "method_0 / method_2" in written[3]
    assert "All " not in written[3]
    assert "All 36 pairs, with intervals: tokimp analyze RUN agreement" in written[9]
    assert "Told from chance: Spearman agreement beyond place of method_0 / method_1" in written[9]
