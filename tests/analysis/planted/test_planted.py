"""Whether known filler is ranked lowest."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import xarray as xr

import tokimp as ti
from tokimp.analysis.planted.planted import Planted
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import Answer
from tokimp.errors import AnalysisError
from tokimp.results.analysis_nodes import analysis_node
from tokimp.testing.toy_result import toy_result
from tokimp.testing.toy_scorer import AdditiveScorer, toy_chain


def planted(text: str, *spans: tuple[int, int], name: str = "c", unit: Any = "token") -> TokenizedChain:
    """Return a chain whose filler is known."""
    chain = toy_chain(text, id=name, unit=unit)
    return replace(chain, chain=replace(chain.chain, filler=spans))


def analysed(result: xr.DataTree, **parameters: Any) -> xr.Dataset:
    """Return the node of the analysis."""
    return analysis_node(ti.analyze(result, "planted", **parameters), "planted")


def test_areas_are_those_counted_by_hand() -> None:
    """Of filler at ranks 0 and 2 of four, three of four pairs are right; average precision is (1 + 2/3) / 2."""
    node = analysed(toy_result({"a": [[0, 3, 1, 2]]}, [planted("abcd", (0, 1), (3, 4))]))
    unit = node.sel(level="unit", estimator="a")
    assert unit["mean"].sel(measure="auroc").item() == pytest.approx(3 / 4)
    assert unit["mean"].sel(measure="average_precision").item() == pytest.approx((1 + 2 / 3) / 2)
    assert node["prevalence"].sel(level="unit").item() == 0.5


def test_chance_is_the_mean_over_all_orders() -> None:
    """Of 2 units of filler in 7, average precision is 0.475 on average over all orders, and filler's share is 0.286."""
    node = analysed(toy_result({"a": [[3, 1, 2, 5, 4, 7, 6]], "flat": [[1.0] * 7]}, [planted("abcdefg", (0, 2))]))
    # Of every two places of the filler, counted from the first to go.
    slow = np.mean([(1 / one + 2 / other) / 2 for one, other in combinations(range(1, 8), 2)])
    chance = node["chance"].sel(level="unit").isel(chain=0)
    assert float(chance.sel(measure="average_precision")) == pytest.approx(slow) == pytest.approx(0.475, abs=5e-4)
    assert float(chance.sel(measure="auroc")) == 0.5
    # An estimator that tells no units apart is at chance, by either measure.
    flat = node["value"].sel(level="unit", estimator="flat").isel(chain=0)
    np.testing.assert_allclose(flat, chance)
    (table,) = Planted().tables(ti.analyze(toy_result({"a": [range(7)]}, [planted("abcdefg", (0, 2))]), "planted"))
    assert [list(column.cells)[-1] for column in table.columns][1:3] == ["0.50", "0.48"]


def test_estimators_that_cover_other_chains_have_another_chance() -> None:
    """The chance of an estimator is the mean over its own chains."""
    chains = [planted("abcd", (0, 1), name="one"), planted("efghijkl", (0, 4), name="two")]
    result = toy_result({"all": [range(4), range(8)], "part": [range(4), range(8)]}, chains).to_dataset()
    result["importance"][1, 4:] = np.nan
    result["rank"][1, 4:] = -1
    tree = ti.analyze(xr.DataTree(result), "planted")
    node = analysis_node(tree, "planted").sel(level="unit", measure="average_precision")
    one, two = node["chance"].to_numpy().tolist()
    assert node["chance_mean"].to_numpy().tolist() == pytest.approx([(one + two) / 2, one])
    assert "over 1; average precision by chance" in str(list(Planted().tables(tree)[0].columns[0].cells)[1])


def test_sentences_stand_at_the_mean_rank_of_their_units() -> None:
    """A sentence of filler whose units rank low on average is ranked lowest, whatever one of them does."""
    text = "So far. 1 2 3. End 4."
    scores = [5.0 if character in "1234" else 1.0 for character in text]
    scores[0] = 9.0
    node = analysed(toy_result({"a": [scores]}, [planted(text, (0, 7))]))
    assert node["mean"].sel(measure="auroc", level="sentence").item() == 1


def test_pairs_within_a_stretch_leave_position_out() -> None:
    """What follows position alone separates filler that stands first, and tells nothing within a stretch."""
    chain = planted("abcdefgh", (0, 2), (4, 5))
    late = [0, 0, 1, 1, 2, 2, 3, 3]
    node = analysed(toy_result({"late": [late]}, [chain]), bands=4)
    assert node["mean"].sel(measure="auroc", level="unit").item() > 0.7
    assert node["within_bands"].item() == 0.5
    assert node["pairs_within_bands"].item() == 1


def test_true_importances_separate_filler() -> None:
    """On a model of which everything is known, leave-one-out ranks what adds nothing below all that adds."""
    scorer = AdditiveScorer(dict.fromkeys("123", 1.0))
    chain = planted("1x2y3", (1, 2), (3, 4))
    scores = ti.load_estimator("leave_one_out").estimate(chain, scorer, Answer()).scores
    node = analysed(toy_result({"loo": [scores]}, [chain]))
    assert (node["mean"].sel(level="unit") == 1).all()


def test_chains_that_say_nothing_are_left_out() -> None:
    """Constant importances are chance; chains of nothing but filler, or of which nothing is known, have no value."""
    chains = [planted("ab", (0, 1), name="one"), planted("cd", (0, 2), name="two"), toy_chain("ef", id="three")]
    node = analysed(toy_result({"a": [[1.0, 1.0]] * 3}, chains))
    auroc = node["value"].sel(measure="auroc", level="unit", estimator="a").to_numpy()
    assert auroc[0] == 0.5
    assert np.isnan(auroc[1:]).all()
    assert (node["chains_used"].sel(level="unit") == 1).all()


def test_a_result_without_known_filler_is_refused() -> None:
    """The message says what to give; parameters out of range are refused as well."""
    with pytest.raises(AnalysisError, match="give the chain file 'filler' spans"):
        analysed(toy_result({"a": [[1.0, 2.0]]}))
    with pytest.raises(AnalysisError, match="bands"):
        analysed(toy_result({"a": [[1.0, 2.0]]}, [planted("ab", (0, 1))]), bands=0)


def test_table_and_figure_show_every_estimator() -> None:
    """Both can be made of any result that was analysed."""
    analysis = ti.load_analysis("planted")
    chains = [planted("abcd", (0, 1))]
    result = ti.analyze(toy_result({"a": [[0, 1, 2, 3]], "b": [[3, 2, 1, 0]]}, chains), analysis)
    (table,) = analysis.tables(result)
    assert table.row_count == 3
    assert str(table.title).endswith("(mean over chains)")
    figure = analysis.figure(result)
    assert figure is not None
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["a", "b"]
