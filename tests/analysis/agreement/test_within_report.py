"""Tables and figure of the agreement within groups, read off their cells and artists."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer

import tokimp as ti
from tokimp.analysis.agreement.within_report import MOST_PAIRS, draw_agreement_within
from tokimp.chains.chain import CategorySpan, TokenizedChain
from tokimp.errors import SchemaError
from tokimp.results.analysis_nodes import analysis_node
from tokimp.testing.toy_result import toy_result
from tokimp.testing.toy_scorer import toy_chain


def ranked(names: list[str], n_chains: int = 6, seed: int = 0) -> xr.DataTree:
    """Return a result of some estimators that rank ten units at random, and of position."""
    draw = np.random.default_rng(seed)
    scores = {name: [draw.normal(size=10) for _ in range(n_chains)] for name in names}
    return toy_result({**scores, "position": [np.arange(10.0) for _ in range(n_chains)]})


def within(result: xr.DataTree) -> xr.DataTree:
    """Return a result with the agreement within the halves of its chains."""
    return ti.analyze(result, "agreement_within", by="position", bands=2, n_resamples=20)


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
    node = analysis_node(tree, "agreement_within")
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
    mean = analysis_node(tree, "agreement_within")["mean"]
    spans = mean.max("group") - mean.min("group")
    widths = [float(spans.sel(estimator=one, other=other).max()) for one, other in pairs]
    figure = draw_agreement_within(tree)
    shown = rows(figure.axes[0])
    kept = sorted(np.argsort(widths)[-MOST_PAIRS:].tolist())
    assert shown == [" / ".join(pairs[place]) for place in kept]
    assert figure.get_suptitle().endswith("; the 15 of 28 pairs whose groups differ most")


def test_of_many_pairs_in_one_group_those_are_drawn_that_correlate_most() -> None:
    """A single group has no differences: the strongest correlations are drawn, and the title says so."""
    names = [f"e{place}" for place in range(7)]
    tree = ti.analyze(ranked(names), "agreement_within", by="position", bands=1, n_resamples=20)
    pairs = list(combinations([*names, "position"], 2))
    mean = abs(analysis_node(tree, "agreement_within")["mean"].isel(group=0)).max("partial")
    strength = [float(mean.sel(estimator=one, other=other)) for one, other in pairs]
    figure = draw_agreement_within(tree)
    kept = sorted(np.argsort(strength)[-MOST_PAIRS:].tolist())
    assert rows(figure.axes[0]) == [" / ".join(pairs[place]) for place in kept]
    assert figure.get_suptitle().endswith("; the 15 of 28 pairs that correlate most, with either sign")


def test_pairs_without_any_value_have_no_row() -> None:
    """A constant estimator is in no row; a lone estimator has no figure."""
    tree = toy_result({"a": [[1.0, 3, 2, 5, 4]], "b": [[2.0, 1, 3, 4, 5]], "flat": [[1.0] * 5]})
    tree = ti.analyze(tree, "agreement_within", by="position", bands=1, n_resamples=20)
    figure = draw_agreement_within(tree)
    assert rows(figure.axes[0]) == ["a / b"]
    assert figure.get_suptitle().endswith("; 1 chain, too few for intervals")
    lone = ti.analyze(toy_result({"a": [[1.0] * 5]}), "agreement_within", by="position", n_resamples=20)
    assert ti.load_analysis("agreement_within").figure(lone) is None


def chain(labels: str, name: str = "c", answer: str = "1", gold: str | None = None) -> TokenizedChain:
    """Return a chain of one token a label."""
    made = toy_chain("x" * len(labels), id=name, answer=answer)
    spans = tuple(CategorySpan(i, i + 1, label) for i, label in enumerate(labels))
    return replace(made, chain=replace(made.chain, category=spans, gold=gold))


def test_the_tables_say_that_nothing_is_left_of_position() -> None:
    """Only where position is partialled out, and of no other estimator."""
    result = toy_result({"a": [[3, 1, 2, 5, 4]], "[position]": [[0, 1, 2, 3, 4]]}, [chain("mmmmm")])
    said = r"undefined with \[position], of which nothing is left"
    analysis = ti.load_analysis("agreement_within", n_resamples=20)
    plain, partial = analysis.tables(ti.analyze(result, analysis))
    assert said not in str(plain.caption)
    assert said in str(partial.caption)
    few = toy_result({"a": [[3, 1]], "b": [[1, 2]]}, [chain("mm")])
    analysis = ti.load_analysis("agreement_within", n_resamples=20)
    assert all("undefined" not in str(table.caption) for table in analysis.tables(ti.analyze(few, analysis)))


def test_what_has_not_been_analysed_is_refused() -> None:
    """The error says which analysis to run."""
    with pytest.raises(SchemaError, match=r"run tokimp\.analyze"):
        draw_agreement_within(toy_result({"a": [[1.0, 2.0]]}))
