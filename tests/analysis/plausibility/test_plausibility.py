"""The analysis of plausibility: chains with known marks, chance and position, and what is left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import xarray as xr

import tokimp as ti
from tokimp.analysis.plausibility.plausibility import Plausibility
from tokimp.analysis.statistics.average_precision import chance_average_precision
from tokimp.chains.chain import CategorySpan, TokenizedChain
from tokimp.errors import AnalysisError
from tokimp.results.analysis_nodes import analysis_node
from tokimp.testing import check_analysis, toy_chain
from tokimp.testing.toy_result import toy_result
from tokimp.testing.toy_run import toy_run, toy_run_chains, toy_run_scorer


def with_filler(text: str, *places: int, **fields: Any) -> TokenizedChain:
    """Return a chain of single-letter units, some of which are filler."""
    chain = toy_chain(text, **fields)
    filler = tuple((place, place + 1) for place in places)
    return replace(chain, chain=replace(chain.chain, filler=filler))


def plausibility(
    importances: Mapping[str, Sequence[Any]], chains: Sequence[TokenizedChain], **options: Any
) -> xr.Dataset:
    """Return the analysis of toy chains."""
    analyzed = ti.analyze(toy_result(importances, chains), Plausibility(**options))
    return analysis_node(analyzed, "plausibility")


def test_every_score_of_a_chain_by_hand() -> None:
    """Units 0 and 2 of three are marked; scores .9, .8, .3 rank a filler second."""
    node = plausibility({"mine": [[0.9, 0.8, 0.3]]}, [with_filler("abc", 1)])
    found = {name: node["value"].sel(score=name).item() for name in node["score"].to_numpy()}
    assert found == pytest.approx(
        # The most important tenth is one unit, which is one of two that are marked. The units 0 and 1 are one span;
        # it shares half of its union with the span of unit 0, and none with that of unit 2.
        {"average_precision": 5 / 6, "trapezoid_auprc": 0.7916667, "f1": 0.5, "iou_f1": 2 / 3, "recovery": 0.5}
    )
    assert node["prevalence"].item() == pytest.approx(2 / 3)
    assert node["pooled_f1"].item() == 0.5
    # By place, unit 2 is most important, then the filler.
    assert node["position_value"].sel(score="average_precision").item() == pytest.approx(5 / 6)


def test_pooled_f1_is_over_the_units_of_all_chains() -> None:
    """Three of four marked units found in one chain and none of one in another: .375 on average, .6 together."""
    chains = [with_filler("abcde", 4, id="long"), with_filler("xy", 0, id="short")]
    node = plausibility({"mine": [[5.0, 4.0, 3.0, 1.0, 2.0], [2.0, 1.0]]}, chains)
    assert node["mean"].sel(score="f1").item() == pytest.approx((0.75 + 0) / 2)
    assert node["pooled_f1"].item() == pytest.approx(3 / 5)


def test_random_orders_have_the_average_precision_of_chance() -> None:
    """The mean of many random orders is the exact expectation."""
    node = plausibility({"mine": [[1.0] * 7]}, [with_filler("abcdefg", 0, 1, 2, 3, 4)], n_uniform=500)
    drawn = node["uniform_mean"].sel(score="average_precision").item()
    assert drawn == pytest.approx(chance_average_precision(7, 2), abs=0.04)
    # An estimator that tells nothing apart has what chance has.
    assert node["value"].sel(score="average_precision").item() == pytest.approx(chance_average_precision(7, 2))


def test_categories_mark_units_as_well() -> None:
    """Units of the categories that are named are marked, and those of no category are not."""
    chain = toy_chain("abcd")
    category = (CategorySpan(0, 1, "number"), CategorySpan(1, 2, "word"))
    chains = [replace(chain, chain=replace(chain.chain, category=category))]
    node = plausibility(
        {"right": [[4, 1, 2, 3]], "wrong": [[1, 4, 3, 2]]}, chains, marks="category", categories=["number"]
    )
    assert node["value"].sel(score="average_precision").to_numpy().ravel().tolist() == [1.0, 0.25]
    assert node.attrs["categories"] == "number"


def test_as_many_units_as_the_mean_share_says_are_predicted() -> None:
    """With shares .75 and .25 of marked units on average half are taken: two of four."""
    chains = [with_filler("abcd", 3, id="many"), with_filler("efgh", 1, 2, 3, id="few")]
    node = plausibility({"mine": [[4, 3, 2, 1], [4, 3, 2, 1]]}, chains, predicted="mean_share")
    expected = [2 * 2 / (2 + 3), 2 * 1 / (2 + 1)]
    np.testing.assert_allclose(node["value"].sel(score="f1", estimator="mine"), expected)


def test_chains_without_marks_are_counted() -> None:
    """A chain that says nothing of filler, and one that is all filler, have no value, and each its reason."""
    chains = [with_filler("ab", 1, id="good"), toy_chain("cd", id="unknown"), with_filler("ef", 0, 1, id="all")]
    node = plausibility({"mine": [[2.0, 1.0]] * 3}, chains)
    assert node["chains_used"].to_numpy().ravel().tolist() == [1] * 5
    assert node["undefined"].isel(score=0, estimator=0).to_numpy().tolist() == [1, 1]
    analysis = Plausibility()
    analyzed = ti.analyze(toy_result({"mine": [[2.0, 1.0]] * 3}, chains), analysis)
    caption = str(analysis.tables(analyzed)[0].caption)
    assert (
        "chains without a value, by estimator: 1 because it is not known which of its units are marked; 1 because"
        in caption.lower()
    )
    assert "This is plausibility, which is not faithfulness" in caption


def test_without_any_marks_it_says_what_to_give() -> None:
    """No chain with marks is an error that names the spans, and the other way to mark."""
    with pytest.raises(AnalysisError, match="'filler' spans, or other marks"):
        plausibility({"mine": [[2.0, 1.0]]}, [toy_chain("ab")])


def test_it_keeps_the_contract() -> None:
    """The analysis passes the check that every analysis must pass."""
    scorer, chains = toy_run_scorer(), toy_run_chains(3, 5)
    check_analysis(Plausibility(n_uniform=2), toy_run(chains, scorer), scorer, chains)
