"""Table and figure of the faithfulness, read off their cells and artists."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from rich.console import Console
from rich.table import Table

import tokimp as ti
from tokimp.analysis.faithfulness.report import curve_table, draw_faithfulness, faithfulness_table
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
    scorer = AdditiveScorer({letter: float(index) for index, letter in enumerate("abcdef", start=1)})
    chains = [toy_chain("abcdef"[: 3 + index % 4], id=str(index)) for index in range(n_chains)]
    rising = [list(range(len(chain.units))) for chain in chains]
    result = toy_result({"true": rising, "b[x]_$1$": [row[::-1] for row in rising]}, chains, scorer)
    return ti.analyze(result, "faithfulness", scorer=scorer, chains=chains, n_uniform=2, n_resamples=50)


def line(axis: Axes, label: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the points of an estimator's line."""
    (container,) = [found for found in axis.containers if found.get_label() == label]
    data = container.lines[0]  # type: ignore[attr-defined] # of an error bar container
    return np.asarray(data.get_xdata()), np.asarray(data.get_ydata())


def test_the_lines_are_the_means_and_the_band_holds_the_random_orders(tmp_path: Path) -> None:
    """Two rows of two panels; every line is what the result holds, and saving works as PNG and SVG."""
    tree = faithful()
    node = analysis_node(tree, "faithfulness")
    figure = draw_faithfulness(tree)
    assert len(figure.axes) == 4
    for axis, (measure, curve) in zip(
        figure.axes, [(m, c) for m in ("answer", "joint_per_token") for c in node["curve"].to_numpy()], strict=True
    ):
        for label in ("true", "b[x]_$1$"):
            ratios, means = line(axis, label)
            np.testing.assert_array_equal(ratios, node["keep_ratio"])
            np.testing.assert_array_equal(means, node["mean"].sel(measure=measure, curve=curve, estimator=label))
        low, high = axis.collections[0].get_datalim(axis.transData).intervaly
        assert low == pytest.approx(float(node["uniform_low"].sel(measure=measure).min()))
        assert high == pytest.approx(float(node["uniform_high"].sel(measure=measure).max()))
    for suffix in ("png", "svg"):
        figure.savefig(tmp_path / f"curves.{suffix}")


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
    """Under five chains the means stand alone, and the titles of table and figure promise no more."""
    few, many = faithful(2), faithful(5)
    text = printed(faithfulness_table(few))
    row = next(part for part in text.splitlines() if "true" in part)
    assert "[" not in row
    assert str(faithfulness_table(few).title).endswith("(mean over chains)")
    assert str(faithfulness_table(many).title).endswith("(mean, 95% interval over chains)")
    assert draw_faithfulness(few).get_suptitle() == "objective joint, by token; 2 chains, too few for intervals"
    assert draw_faithfulness(many).get_suptitle() == "objective joint, by token; 5 chains, 95% intervals"


def test_an_estimator_that_stopped_early_is_named_where_it_has_dashes() -> None:
    """The feet say which one did not delete so far, and of the others nothing."""
    scorer = AdditiveScorer({letter: float(index) for index, letter in enumerate("abcdef", start=1)})
    chains = [toy_chain("fbdace", id=str(index)) for index in range(5)]
    short = [
        ti.load_estimator("greedy:keep_ratio=0.5").estimate(chain, scorer, ti.load_objective("joint"))
        for chain in chains
    ]
    result = toy_result({"[short]": short, "whole": [list(range(6))] * 5}, chains, scorer)
    tree = ti.analyze(result, "faithfulness", scorer=scorer, chains=chains, n_uniform=2, n_resamples=20)
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


@pytest.mark.parametrize("show", [curve_table, draw_faithfulness, faithfulness_table])
def test_what_has_not_been_analysed_is_refused(show: Callable[[xr.DataTree], object]) -> None:
    """The error says which analysis to run."""
    with pytest.raises(SchemaError, match=r"run tokimp\.analyze"):
        show(toy_result({"a": [[1.0, 2.0]]}))


def test_an_unknown_measure_is_refused_by_name() -> None:
    """The message lists the measures there are."""
    with pytest.raises(SchemaError, match="no measure 'beauty'; it has answer"):
        draw_faithfulness(faithful(2), measures=["beauty"])
