"""Whether known filler is ranked lowest."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import xarray as xr

import tokimp as ti
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import Answer
from tokimp.errors import AnalysisError
from tokimp.testing.toy_result import toy_result
from tokimp.testing.toy_scorer import AdditiveScorer, toy_chain


def planted(text: str, *spans: tuple[int, int], name: str = "c", unit: Any = "token") -> TokenizedChain:
    """Return a chain whose filler is known."""
    chain = toy_chain(text, id=name, unit=unit)
    return replace(chain, chain=replace(chain.chain, filler=spans))


def analysed(result: xr.DataTree, **parameters: Any) -> xr.Dataset:
    """Return the node of the analysis."""
    return ti.analyze(result, "planted", **{"n_resamples": 50, **parameters})["analysis/planted"].to_dataset()


def test_areas_are_those_counted_by_hand() -> None:
    """Of filler at ranks 0 and 2 of four, three of four pairs are right; average precision is (1 + 2/3) / 2."""
    node = analysed(toy_result({"a": [[0, 3, 1, 2]]}, [planted("abcd", (0, 1), (3, 4))]))
    unit = node.sel(level="unit", estimator="a")
    assert unit["mean"].sel(measure="auroc").item() == pytest.approx(3 / 4)
    assert unit["mean"].sel(measure="average_precision").item() == pytest.approx((1 + 2 / 3) / 2)
    assert node["prevalence"].sel(level="unit").item() == 0.5


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
    analysis = ti.load_analysis("planted", n_resamples=20)
    chains = [planted("abcd", (0, 1))]
    result = ti.analyze(toy_result({"a": [[0, 1, 2, 3]], "b": [[3, 2, 1, 0]]}, chains), analysis)
    (table,) = analysis.tables(result)
    assert table.row_count == 3
    assert str(table.title).endswith("(mean over chains)")
    figure = analysis.figure(result)
    assert figure is not None
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["a", "b"]
