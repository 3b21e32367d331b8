"""Curves and their tables: what they draw and print, read off their artists and cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from rich.console import Console
from rich.table import Table

import tokimp as ti
from tokimp.analysis.answer_recovery.report import answer_recovery_table, draw_answer_recovery
from tokimp.analysis.faithfulness.report import draw_faithfulness, faithfulness_table
from tokimp.errors import SchemaError
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
    """Under five chains the means stand alone, and the titles of table and figure promise no more."""
    few, many = faithful(2), faithful(5)
    text = printed(faithfulness_table(few))
    row = next(part for part in text.splitlines() if "true" in part)
    assert "[" not in row
    assert str(faithfulness_table(few).title).endswith("(mean over chains)")
    assert str(faithfulness_table(many).title).endswith("(mean, 95% interval over chains)")
    assert draw_faithfulness(few).get_suptitle() == "2 chains, too few for intervals"
    assert draw_faithfulness(many).get_suptitle() == "5 chains, 95% intervals"
    assert "intervals are" not in str(answer_recovery_table(recovered(chain=[1, 0])).caption)
    assert "intervals are" in str(answer_recovery_table(recovered(chain=[1, 0, 1, 0, 1])).caption)


def test_recovery_is_printed_by_keep_ratio_and_drawn_for_each_reference_that_is_known() -> None:
    """The table has one column a ratio; a reference without any chain has no panel, and nothing to coincide with."""
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
    assert [axis.get_title() for axis in figure.axes] == ["the chain's answer\n= the model's answer unpruned"]
    assert len(ti.load_analysis("answer_recovery").tables(tree)) == 1
    assert "the same numbers hold for the model's own unpruned;" in " ".join(text.split())
    assert "the same" not in str(answer_recovery_table(tree, "gold").caption)


def recovered(**references: Sequence[float]) -> xr.DataTree:
    """Return a result with an answer recovery: what one estimator recovers of each reference's chains, at one ratio."""
    values = np.array(list(references.values()), dtype=float)[:, None, None]
    known = ~np.isnan(values)
    parts = {name: (("reference", "estimator", "keep_ratio"), values.mean(-1)) for name in ("mean", "low", "high")}
    ends = {f"uniform_{name}": (("reference", "keep_ratio"), values.mean(-1)[:, 0]) for name in ("mean", "low", "high")}
    node = xr.Dataset(
        {
            "recovered": (("reference", "estimator", "keep_ratio", "chain"), values),
            "uniform_recovered": (("reference", "draw", "keep_ratio", "chain"), values),
            "chains_used": (("reference", "estimator", "keep_ratio"), known.sum(-1)),
            **parts,
            **ends,
        },
        coords={"reference": np.array(list(references), dtype=object), "estimator": ["a"], "keep_ratio": [0.5]},
        attrs={"confidence": 0.95},
    )
    return xr.DataTree.from_dict({"/": xr.Dataset(), "/analysis/answer_recovery": node})


def test_references_that_coincide_are_printed_and_drawn_once() -> None:
    """What is the same chain by chain stands once with all its names; equal means alone are no coincidence."""
    analysis = ti.load_analysis("answer_recovery")
    tree = recovered(chain=[1, 0], unpruned=[1, 0], gold=[1, 0])
    (table,) = analysis.tables(tree)
    assert "the same numbers hold for the model's own unpruned and the right answer" in str(table.caption)
    (axis,) = draw_answer_recovery(tree).axes
    assert axis.get_title() == "the chain's answer\n= the model's answer unpruned\n= the right answer"
    tree = recovered(chain=[1, 0], unpruned=[0, 1], gold=[0, 1])
    first, second = analysis.tables(tree)
    assert "the same" not in str(first.caption)
    assert "share of chains that give the right answer" in str(second.title)
    assert "the same numbers hold for the model's own unpruned;" in str(second.caption)
    assert len(draw_answer_recovery(tree).axes) == 2


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
    node = recovered(chain=[1, 0])["analysis/answer_recovery"].to_dataset()
    further = node.assign_coords(keep_ratio=[0.2]).map(lambda values: values.astype(float))
    further["recovered"] = further["recovered"] * np.nan
    both = xr.concat([further, node], "keep_ratio", data_vars="minimal")
    tree = xr.DataTree.from_dict({"/": xr.Dataset(), "/analysis/answer_recovery": both})
    assert "a dash: a did not delete down to that keep ratio" in str(answer_recovery_table(tree).caption)
    assert "a dash" not in str(answer_recovery_table(recovered(chain=[1, 0])).caption)


@pytest.mark.parametrize("show", [draw_faithfulness, draw_answer_recovery, faithfulness_table, answer_recovery_table])
def test_what_has_not_been_analysed_is_refused(show: Callable[[xr.DataTree], object]) -> None:
    """The error says which analysis to run."""
    with pytest.raises(SchemaError, match=r"run tokimp\.analyze"):
        show(toy_result({"a": [[1.0, 2.0]]}))


def test_an_unknown_measure_is_refused_by_name() -> None:
    """The message lists the measures there are."""
    with pytest.raises(SchemaError, match="no measure 'beauty'; it has answer"):
        draw_faithfulness(faithful(2), measures=["beauty"])


def test_a_legend_of_long_labels_fits_into_a_narrow_figure() -> None:
    """Columns that a single panel has no room for go below one another; nothing is cut off."""
    node = recovered(chain=[1, 0])["analysis/answer_recovery"].to_dataset()
    labels = [f"greedy:keep_ratio=0.{place},cache_memory=0.25" for place in range(4)]
    wide = xr.concat([node.assign_coords(estimator=[label]) for label in labels], "estimator", data_vars="minimal")
    figure = draw_answer_recovery(xr.DataTree.from_dict({"/": xr.Dataset(), "/analysis/answer_recovery": wide}))
    figure.canvas.draw()
    (legend,) = figure.legends
    extent = legend.get_window_extent()
    assert extent.x0 >= 0
    assert extent.x1 <= figure.bbox.x1
