"""Figures of agreement in groups and between results, and what the tables say of them, read off their artists."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer

import tokimp as ti
from tokimp.analysis.agreement.groups_report import MOST_PAIRS, draw_agreement_between, draw_agreement_within
from tokimp.contracts.analysis import Analysis
from tokimp.errors import SchemaError
from tokimp.testing.toy_result import toy_result


def ranked(names: list[str], n_chains: int = 6, seed: int = 0) -> xr.DataTree:
    """Return a result of some estimators that rank ten units at random, and of position."""
    draw = np.random.default_rng(seed)
    scores = {name: [draw.normal(size=10) for _ in range(n_chains)] for name in names}
    return toy_result({**scores, "position": [np.arange(10.0) for _ in range(n_chains)]})


def within(result: xr.DataTree) -> xr.DataTree:
    """Return a result with the agreement within the halves of its chains."""
    return ti.analyze(result, "agreement_within", by="position", bands=2, n_resamples=20)


def between(result: xr.DataTree, other: xr.DataTree, folder: Path) -> tuple[xr.DataTree, Analysis]:
    """Return a result with its agreement with another one, and the analysis."""
    ti.save(other, folder / "o$th$er.nc")
    analysis = ti.load_analysis("agreement_between", other=str(folder / "o$th$er.nc"), n_resamples=20)
    return ti.analyze(result, analysis), analysis


def series(axis: Axes) -> dict[str, list[float]]:
    """Return what each series shows, from the top row to the bottom one."""
    bars = [found for found in axis.containers if isinstance(found, ErrorbarContainer)]
    return {str(bar.get_label()): np.asarray(bar.lines[0].get_xdata()).tolist() for bar in bars}


def rows(axis: Axes) -> list[str]:
    """Return the names of an axis's rows."""
    return [label.get_text() for label in axis.get_yticklabels()]


def test_a_row_a_pair_and_a_mark_a_group(tmp_path: Path) -> None:
    """Both panels show what the result holds; pairs with position have nothing left on the right, which is said."""
    tree = within(ranked(["a", "b[x]_$1$"]))
    node = tree["analysis/agreement_within"].to_dataset()
    figure = draw_agreement_within(tree)
    pairs = list(combinations(["a", "b[x]_$1$", "position"], 2))
    for axis, partial in zip(figure.axes, (False, True), strict=True):
        assert rows(figure.axes[0]) == [f"{one} / {other}" for one, other in pairs]
        for group, shown in series(axis).items():
            mean = node["mean"].sel(partial=partial, group=group)
            np.testing.assert_array_equal(shown, [mean.sel(estimator=one, other=other) for one, other in pairs])
    assert list(series(figure.axes[0])) == ["0-0.5", "0.5-1"]
    assert [text.get_text() for text in figure.axes[0].texts] == []
    assert [text.get_position()[1] for text in figure.axes[1].texts] == [1, 2]
    assert figure.get_suptitle() == "agreement by position, objective joint; 6 chains, 95% intervals"
    for suffix in ("png", "svg"):
        figure.savefig(tmp_path / f"within.{suffix}")


def test_of_many_pairs_those_are_drawn_whose_groups_differ_most() -> None:
    """The pair with the widest range of means is there, the one with the narrowest is not; the title says so."""
    names = [f"e{place}" for place in range(7)]
    tree = within(ranked(names))
    pairs = list(combinations([*names, "position"], 2))
    mean = tree["analysis/agreement_within/mean"]
    spans = mean.max("group") - mean.min("group")
    widths = [float(spans.sel(estimator=one, other=other).max()) for one, other in pairs]
    figure = draw_agreement_within(tree)
    shown = rows(figure.axes[0])
    kept = sorted(np.argsort(widths)[-MOST_PAIRS:].tolist())
    assert shown == [" / ".join(pairs[place]) for place in kept]
    assert figure.get_suptitle().endswith("; the 15 of 28 pairs whose groups differ most")


def test_pairs_without_any_value_have_no_row() -> None:
    """A constant estimator is in no row; a lone estimator has no figure."""
    tree = toy_result({"a": [[1.0, 3, 2, 5, 4]], "b": [[2.0, 1, 3, 4, 5]], "flat": [[1.0] * 5]})
    tree = ti.analyze(tree, "agreement_within", by="position", bands=1, n_resamples=20)
    figure = draw_agreement_within(tree)
    assert rows(figure.axes[0]) == ["a / b"]
    assert figure.get_suptitle().endswith("; 1 chain, too few for intervals")
    lone = ti.analyze(toy_result({"a": [[1.0] * 5]}), "agreement_within", by="position", n_resamples=20)
    assert ti.load_analysis("agreement_within").figure(lone) is None


def test_intervals_are_drawn_where_there_are_enough_chains(tmp_path: Path) -> None:
    """Of six chains the ends are those of the result, of four none is drawn; neither says the other."""
    for n_chains in (6, 4):
        tree, analysis = between(ranked(["a"], n_chains), ranked(["a"], n_chains, seed=1), tmp_path)
        node = tree["analysis/agreement_between"].sel(common="a", partial=False)
        (bars,) = (found for found in draw_agreement_between(tree).axes[0].containers)
        assert isinstance(bars, ErrorbarContainer)
        ends = [np.asarray(part)[:, 0] for part in bars.lines[2][0].get_segments() if len(part)]
        wanted = [[float(node["low"]), float(node["high"])]] if n_chains == 6 else []
        assert [part.tolist() for part in ends] == [pytest.approx(part) for part in wanted]
        (table,) = analysis.tables(tree)
        what = "mean, 95% interval over chains" if n_chains == 6 else "mean over chains"
        assert str(table.caption).startswith(f"{what};")


def test_a_row_an_estimator_that_both_results_have(tmp_path: Path) -> None:
    """The means of the result on both sides; position, of which nothing is left, is undefined on the right."""
    tree, analysis = between(ranked(["a", "b"]), ranked(["b", "a"], seed=1), tmp_path)
    figure = analysis.figure(tree)
    assert figure is not None
    assert rows(figure.axes[0]) == ["a", "b", "position"]
    for axis, partial in zip(figure.axes, (False, True), strict=True):
        ((_, shown),) = series(axis).items()
        np.testing.assert_array_equal(shown, tree["analysis/agreement_between/mean"].sel(partial=partial))
    assert [text.get_position()[1] for text in figure.axes[1].texts] == [2]
    figure.savefig(tmp_path / "between.png")


def test_what_differs_from_the_other_result_is_named(tmp_path: Path) -> None:
    """Objective, versions, the model's weights and an estimator's parameters by name; or that nothing does."""
    result, other = ranked(["a"]), ranked(["a"])
    tree, analysis = between(result, other, tmp_path)
    assert tree["analysis/agreement_between"].attrs["difference"] == "none"
    assert str(analysis.tables(tree)[0].title).endswith("er.nc, from which nothing that is recorded differs")
    other.attrs.update(objective="answer", torch_version="9.9")
    other.attrs["estimator_parameters"] = '{"a": {"parameters": {"query": "last"}}, "c": {"parameters": {}}}'
    other.attrs["model_fingerprint"] = "f" * 64
    tree, analysis = between(result, other, tmp_path)
    (table,) = analysis.tables(tree)
    said = (
        f"objective joint / answer, torch_version {result.attrs['torch_version']} / 9.9, weights or configuration of "
        "the model, parameters or files of a"
    )
    assert str(table.title).endswith(f"er.nc, which differs in {said}")
    other.attrs["dtype"] = "float16"
    tree, _ = between(result, other, tmp_path)
    assert "weights" not in tree["analysis/agreement_between"].attrs["difference"]


@pytest.mark.parametrize("draw", [draw_agreement_within, draw_agreement_between])
def test_what_has_not_been_analysed_is_refused(draw: object) -> None:
    """The error says which analysis to run."""
    assert callable(draw)
    with pytest.raises(SchemaError, match=r"run tokimp\.analyze"):
        draw(toy_result({"a": [[1.0, 2.0]]}))
