"""Figures of agreement: what cells and rows show, what has no colour, and what is said where there is nothing."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes

import tokimp as ti
from tests.report.plot.overlaps import cut_off, overlapping, texts_of
from tokimp.errors import SchemaError
from tokimp.report.agreement_means import agreement_means
from tokimp.report.plot.agreement_rows import MOST_PAIRS
from tokimp.report.plot.style import root_figure
from tokimp.results.analysis_nodes import analysis_node
from tokimp.testing.toy_result import toy_result
from tokimp.testing.toy_scorer import toy_chain


def ranked(names: list[str], n_chains: int = 8, seed: int = 0) -> xr.DataTree:
    """Return a result of estimators that rank ten units at random; ``b`` follows ``a`` with some noise."""
    draw = np.random.default_rng(seed)
    scores = {name: [draw.normal(size=10) for _ in range(n_chains)] for name in names}
    if {"a", "b"} <= scores.keys():
        scores["b"] = [row + 0.3 * draw.normal(size=10) for row in scores["a"]]
    chains = [toy_chain("x" * 10, id=str(number), question=str(number)) for number in range(n_chains)]
    return toy_result(scores, chains)


def rows_of(axis: Axes) -> list[str]:
    """Return the names of an axis's rows, each on one line."""
    return [label.get_text().replace("/\n", "/ ").replace("\n", "") for label in axis.get_yticklabels()]


def foot_of(axis: Axes) -> str:
    """Return the figure's foot, on one line."""
    return str(root_figure(axis).get_supxlabel()).replace("\n", " ")


def cells_of(axis: Axes) -> dict[tuple[int, int], str]:
    """Return the texts of a matrix by row and column."""
    return {(round(y), round(x)): text.get_text() for text in axis.texts for x, y in [text.get_position()]}


def test_as_it_is_stands_below_the_diagonal_and_beyond_place_above() -> None:
    """Each cell has its mean and its interval; the diagonal says nothing."""
    tree = ti.analyze(ranked(["a", "b", "c"]), "agreement")
    cells = analysis_node(tree, "agreement").sel(measure="spearman")
    below, above = agreement_means(cells)
    assert above.name == "beyond place"
    written = cells_of(ti.plot.agreement(tree, order="given"))
    assert sorted(written) == [(row, column) for row in range(3) for column in range(3) if row != column]
    for (row, column), text in written.items():
        mean = (above if column > row else below).mean[row, column]
        assert text.split("\n")[0] == f"{round(mean, 2) + 0.0:.2f}".replace("-", "\u2212")
        assert " to " in text


def test_what_is_not_told_from_chance_has_no_colour() -> None:
    """The pair that agrees has a colour, those at random have none; the foot says what white means."""
    tree = ti.analyze(ranked(["a", "b", "c"]), "agreement")
    axis = ti.plot.agreement(tree, order="given")
    coloured = ~np.ma.getmaskarray(np.ma.asarray(axis.images[0].get_array()))
    as_it_is, beyond = agreement_means(analysis_node(tree, "agreement").sel(measure="spearman"))
    for row, column in combinations(range(3), 2):
        assert coloured[column, row] == as_it_is.is_told[column, row]
        assert coloured[row, column] == beyond.is_told[row, column]
    assert coloured[0, 1]
    assert coloured[1, 0]
    assert not coloured.all()
    assert "White: not told from chance" in foot_of(axis)


def test_few_chains_tell_nothing_and_are_all_coloured() -> None:
    """Under five chains there is no interval to go by, which the foot says."""
    tree = ti.analyze(ranked(["a", "b", "c"], n_chains=3), "agreement")
    axis = ti.plot.agreement(tree, order="given")
    assert "Too few chains to tell anything from chance." in foot_of(axis)
    assert (~np.ma.getmaskarray(np.ma.asarray(axis.images[0].get_array()))).sum() == 6
    assert not any(" to " in text for text in cells_of(axis).values())


def test_a_result_of_an_older_version_shows_position_partialled_out() -> None:
    """Without agreement beyond place, cells above the diagonal have position partialled out, as the foot says."""
    tree = ti.analyze(ranked(["a", "b"]), "agreement")
    node = analysis_node(tree, "agreement")
    older = node.drop_vars([name for name in node.data_vars if str(name).startswith("beyond_place")])
    tree["analysis/agreement"] = xr.DataTree(older)
    axis = ti.plot.agreement(tree)
    assert "Above: position partialled out." in foot_of(axis)
    mean = float(node["mean"].sel(measure="spearman", partial=True, estimator="a", other="b"))
    assert cells_of(axis)[0, 1].startswith(f"{mean:.2f}")


def test_similar_estimators_stand_beside_each_other() -> None:
    """The two that agree are neighbours, wherever they stood; the order of the result is kept where it is asked for."""
    tree = ti.analyze(ranked(["a", "c", "d", "e", "b"]), "agreement")
    rows = rows_of(ti.plot.agreement(tree))
    assert abs(rows.index("a") - rows.index("b")) == 1
    assert rows_of(ti.plot.agreement(tree, order="given")) == ["a", "c", "d", "e", "b"]


def test_no_agreement_is_said_in_place_of_an_empty_picture() -> None:
    """Chains too short to rank, or one estimator alone: the figure says why it is empty."""
    short = ti.analyze(toy_result({"a": [[1.0, 2.0]], "b": [[2.0, 1.0]]}), "agreement")
    (text,) = ti.plot.agreement(short).texts
    assert "no chain is long enough" in text.get_text().replace("\n", " ")
    lone = ti.analyze(ranked(["a"]), "agreement")
    (text,) = ti.plot.agreement(lone).texts
    assert "two estimators are needed" in text.get_text().replace("\n", " ")


def test_an_unknown_measure_is_refused_by_name() -> None:
    """The message lists the measures there are."""
    tree = ti.analyze(ranked(["a", "b"]), "agreement")
    with pytest.raises(SchemaError, match="no measure 'beauty'; it has spearman"):
        ti.plot.agreement(tree, "beauty")


@pytest.mark.parametrize("count", [9, 12, 14, 22, 40])
def test_labels_of_many_estimators_do_not_lie_on_each_other(count: int) -> None:
    """Whatever the number of estimators and the length of their labels, a new figure has room to tell them apart."""
    names = [f"surrogate:path=/data/runs/of-many/seed{place}/fitted.safetensors" for place in range(count)]
    axis = ti.plot.agreement(ti.analyze(ranked(names), "agreement"))
    # A dot's box is as high as a letter's; only words can hide each other.
    texts = [text for text in texts_of(root_figure(axis)) if len(text.get_text()) > 1]
    assert overlapping(texts) == []
    assert cut_off(texts, root_figure(axis)) == []
    assert len(set(rows_of(axis))) == count


def test_one_long_label_does_not_cost_the_numbers() -> None:
    """Twelve estimators have a number in each cell, though one of them has a long name."""
    names = [*(f"e{place}" for place in range(11)), "gradient:method=integrated_gradients"]
    written = cells_of(ti.plot.agreement(ti.analyze(ranked(names), "agreement")))
    assert all(any(character.isdigit() for character in text) for text in written.values())


def test_pairs_of_long_labels_have_a_line_each() -> None:
    """Each row names both estimators of its pair, and no two rows are named alike."""
    names = [f"gradient:method=integrated_gradients,steps={steps}" for steps in (8, 16, 32)]
    axis = ti.plot.agreement_pairs(ti.analyze(ranked(names), "agreement"))
    assert sorted(rows_of(axis)) == sorted(
        f"gradient:steps={one},\u2026 / gradient:steps={other},\u2026" for one, other in combinations((8, 16, 32), 2)
    )
    assert overlapping(texts_of(root_figure(axis))) == []


def test_of_many_pairs_those_furthest_from_chance_are_drawn_in_order() -> None:
    """Seven estimators have 21 pairs: fifteen are drawn, the one that agrees most on top, and the foot counts them."""
    tree = ti.analyze(ranked(["a", "b", *(f"e{place}" for place in range(5))]), "agreement")
    axis = ti.plot.agreement_pairs(tree)
    assert len(rows_of(axis)) == MOST_PAIRS
    assert rows_of(axis)[0] == "a / b"
    assert "The 15 of 21 pairs furthest from chance." in foot_of(axis)
    assert axis.get_xlim()[1] <= 1.05


def test_of_many_pairs_those_whose_groups_differ_most_are_drawn() -> None:
    """The pair with the widest range of groups is drawn, and the pairs left out have a narrower one."""
    names = [f"e{place}" for place in range(7)]
    tree = ti.analyze(ranked(names), "agreement_within", by="position", bands=2)
    mean = analysis_node(tree, "agreement_within")["beyond_place_mean"]
    span = {
        f"{one} / {other}": float(np.ptp(mean.sel(estimator=one, other=other).to_numpy()))
        for one, other in combinations(names, 2)
    }
    axis = ti.plot.agreement_within(tree)
    drawn = set(rows_of(axis))
    assert len(drawn) == MOST_PAIRS
    assert min(span[pair] for pair in drawn) >= max(width for pair, width in span.items() if pair not in drawn)
    assert "The 15 of 21 pairs whose groups differ most." in foot_of(axis)


def test_a_row_an_estimator_that_both_results_have(tmp_path: Path) -> None:
    """Rows are sorted, marks are hollow as it is and filled beyond place, and the heading names the other result."""
    ti.save(ranked(["b", "a"], seed=1), tmp_path / "o$th$er.nc")
    analysis = ti.load_analysis("agreement_between", other=str(tmp_path / "o$th$er.nc"))
    figure = analysis.figure(ti.analyze(ranked(["a", "b"]), analysis))
    assert figure is not None
    (axis,) = figure.axes
    assert sorted(rows_of(axis)) == ["a", "b"]
    legend = axis.get_legend()
    assert legend is not None
    assert len(legend.get_texts()) == 2
    figure.draw_without_rendering()


@pytest.mark.parametrize("draw", [ti.plot.agreement, ti.plot.agreement_pairs, ti.plot.agreement_between])
def test_what_has_not_been_analysed_is_refused(draw: Callable[[xr.DataTree], Axes]) -> None:
    """The error says which analysis to run."""
    with pytest.raises(SchemaError, match=r"run tokimp\.analyze"):
        draw(toy_result({"a": [[1.0, 2.0]]}))
