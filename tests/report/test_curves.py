"""Curves and their tables: what they draw and print, read off their artists and cells."""

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
from tokimp.errors import SchemaError
from tokimp.report.curve_tables import answer_recovery_table, faithfulness_table
from tokimp.report.curves import draw_answer_recovery, draw_faithfulness
from tokimp.report.terminal import print_whole
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
    node = tree["analysis/faithfulness"].to_dataset()
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
    node = tree["analysis/faithfulness"].sel(measure="answer")
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


def test_few_chains_have_no_intervals() -> None:
    """Under five chains the means stand alone."""
    text = printed(faithfulness_table(faithful(2)))
    row = next(part for part in text.splitlines() if "true" in part)
    assert "[" not in row


def test_recovery_is_printed_by_keep_ratio_and_drawn_for_each_reference_that_is_known() -> None:
    """The table has one column a ratio; a reference without any chain has no panel."""
    scorer = ti.load_scorer("tiny")
    result = ti.compare(ti.demo_chains(limit=2), scorer, ["position"])
    dataset = result.to_dataset()
    dataset["gold"] = dataset["gold"].copy(data=np.array(["", ""], dtype=object))
    tree = ti.analyze(
        xr.DataTree(dataset), "answer_recovery", scorer=scorer, keep_ratios=[0.0, 1.0], n_uniform=1, n_resamples=10
    )
    text = printed(answer_recovery_table(tree))
    assert next(part for part in text.splitlines() if "position" in part).split()[-1] == "1.00"
    figure = draw_answer_recovery(tree)
    assert [axis.get_title() for axis in figure.axes] == ["the chain's answer", "the model's answer unpruned"]
    assert len(ti.load_analysis("answer_recovery").tables(tree)) == 1


@pytest.mark.parametrize("show", [draw_faithfulness, draw_answer_recovery, faithfulness_table, answer_recovery_table])
def test_what_has_not_been_analysed_is_refused(show: Callable[[xr.DataTree], object]) -> None:
    """The error says which analysis to run."""
    with pytest.raises(SchemaError, match=r"run tokimp\.analyze"):
        show(toy_result({"a": [[1.0, 2.0]]}))


def test_an_unknown_measure_is_refused_by_name() -> None:
    """The message lists the measures there are."""
    with pytest.raises(SchemaError, match="no measure 'beauty'; it has answer"):
        draw_faithfulness(faithful(2), measures=["beauty"])
