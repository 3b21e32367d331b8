"""Agreement within groups of units or chains."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy import stats

import tokimp as ti
from tokimp.chains.chain import CategorySpan, TokenizedChain
from tokimp.errors import AnalysisError
from tokimp.results.analysis_nodes import analysis_node
from tokimp.testing.toy_result import toy_result
from tokimp.testing.toy_scorer import toy_chain


def within(result: xr.DataTree, **parameters: Any) -> xr.Dataset:
    """Return the node of the analysis within groups."""
    given = {"minimum_units": 3, **parameters}
    return analysis_node(ti.analyze(result, "agreement_within", **given), "agreement_within")


def chain(labels: str, name: str = "c", answer: str = "1", gold: str | None = None) -> TokenizedChain:
    """Return a chain of one token a label."""
    made = toy_chain("x" * len(labels), id=name, answer=answer)
    spans = tuple(CategorySpan(i, i + 1, label) for i, label in enumerate(labels))
    return replace(made, chain=replace(made.chain, category=spans, gold=gold))


def value(node: xr.Dataset, group: str, *, partial: bool = False) -> float:
    """Return the mean agreement of estimators a and b in a group."""
    return float(node["mean"].sel(group=group, estimator="a", other="b", partial=partial))


def test_categories_are_ranked_apart() -> None:
    """Two estimators that agree within one category and disagree within the other: 1 and -1, whatever the whole is."""
    result = toy_result({"a": [[1, 2, 3, 4, 5, 6]], "b": [[11, 12, 13, 3, 2, 1]]}, [chain("mmmggg")])
    node = within(result)
    assert value(node, "m") == pytest.approx(1)
    assert value(node, "g") == pytest.approx(-1)


def test_stretches_of_position_are_ranked_apart() -> None:
    """The halves of a chain are groups, named by the shares of the chain that they span."""
    result = toy_result({"a": [[1, 3, 2, 4, 5, 6]], "b": [[1, 3, 2, 6, 5, 4]]})
    node = within(result, by="position", bands=2)
    assert node["group"].to_numpy().tolist() == ["0-0.5", "0.5-1"]
    assert value(node, "0-0.5") == pytest.approx(1)
    assert value(node, "0.5-1") == pytest.approx(-1)
    assert np.isnan(value(node, "0.5-1", partial=True))


def test_right_and_wrong_chains_are_apart() -> None:
    """Right, wrong and not known are groups; chains without a right answer to compare with are in none."""
    chains = [
        chain("mmm", "one", "1", "1"),
        chain("mmm", "two", "1", "2"),
        chain("mmm", "three", "1"),
        chain("mmm", "four", "One of them.", "1"),
    ]
    result = toy_result({"a": [[1, 2, 3]] * 4, "b": [[1, 2, 3], [3, 2, 1], [1, 3, 2], [3, 2, 1]]}, chains)
    node = within(result, by="correctness")
    assert value(node, "right") == pytest.approx(1)
    assert value(node, "wrong") == pytest.approx(-1)
    assert value(node, "not known") == pytest.approx(-1)
    assert node["group"].to_numpy().tolist() == ["not known", "right", "wrong"]
    assert node["chains_used"].sel(estimator="a", other="b", partial=False).to_numpy().tolist() == [1, 1, 1]
    with pytest.raises(AnalysisError, match="'gold'"):
        within(toy_result({"a": [[1.0, 2.0]]}), by="correctness")


def test_groups_without_a_value_are_counted() -> None:
    """Too few units, constant importances, and an estimator that says nothing leave NaN and no chain used."""
    result = toy_result({"a": [[1, 2, 3, 4, 5]], "b": [[1, 1, 1, 4, 5]]}, [chain("mmmgg")])
    node = within(result)
    assert np.isnan([value(node, "m"), value(node, "g")]).all()
    assert node["chains_used"].sel(estimator="a", other="b").max().item() == 0
    analysis = ti.load_analysis("agreement_within", minimum_units=3)
    tables = analysis.tables(ti.analyze(result, analysis))
    assert [table.columns[0].header for table in tables] == ["pair", "pair"]


@pytest.mark.parametrize("parameters", [{"by": "colour"}, {"bands": 0}, {"minimum_units": 2}, {"confidence": 2.0}])
def test_parameters_out_of_range_are_refused(parameters: dict[str, Any]) -> None:
    """The message names the parameter."""
    with pytest.raises(AnalysisError, match=next(iter(parameters))):
        within(toy_result({"a": [[1.0, 2.0]]}), **parameters)


def test_position_is_that_in_the_whole_chain() -> None:
    """Units of a category stand where they stand in the chain when position is partialled out."""
    labels = "mgggmmggggggmgmm"
    a, b = np.random.default_rng(3).permuted([range(16)] * 2, axis=1)
    node = within(toy_result({"a": [a], "b": [b]}, [chain(labels)]))
    places = np.array([place for place, label in enumerate(labels) if label == "m"])
    design = np.stack([np.ones(len(places)), places], axis=1)
    ranks = [stats.rankdata(scores[places]) for scores in (a, b)]
    left = [rank - design @ np.linalg.lstsq(design, rank, rcond=None)[0] for rank in ranks]
    assert value(node, "m", partial=True) == pytest.approx(stats.pearsonr(*left).statistic)


def test_many_stretches_have_a_name_each() -> None:
    """However many stretches there are, no two share a name, and so none takes the place of another."""
    scores = np.random.default_rng(0).permuted([range(600)] * 2, axis=1)
    node = within(toy_result({"a": [scores[0]], "b": [scores[1]]}), by="position", bands=150)
    assert len(set(node["group"].to_numpy().tolist())) == node.sizes["group"] == 150
