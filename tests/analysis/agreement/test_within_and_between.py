"""Agreement in groups of units or chains, and between results."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import tokimp as ti
from tokimp.chains.chain import CategorySpan, TokenizedChain
from tokimp.errors import AnalysisError
from tokimp.testing.toy_result import toy_result
from tokimp.testing.toy_scorer import toy_chain


def within(result: xr.DataTree, **parameters: Any) -> xr.Dataset:
    """Return the node of the analysis within groups."""
    given = {"n_resamples": 20, "minimum_units": 3, **parameters}
    return ti.analyze(result, "agreement_within", **given)["analysis/agreement_within"].to_dataset()


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
    """Chains whose answer is right, and wrong; those without a right answer to compare with are in no group."""
    chains = [chain("mmm", "one", "1", "1"), chain("mmm", "two", "1", "2"), chain("mmm", "three", "1")]
    result = toy_result({"a": [[1, 2, 3]] * 3, "b": [[1, 2, 3], [3, 2, 1], [1, 3, 2]]}, chains)
    node = within(result, by="correctness")
    assert value(node, "right") == pytest.approx(1)
    assert value(node, "wrong") == pytest.approx(-1)
    assert node["chains_used"].sel(estimator="a", other="b", partial=False).to_numpy().tolist() == [1, 1]
    with pytest.raises(AnalysisError, match="'gold'"):
        within(toy_result({"a": [[1.0, 2.0]]}), by="correctness")


def test_groups_without_a_value_are_counted() -> None:
    """Too few units, constant importances, and an estimator that says nothing leave NaN and no chain used."""
    result = toy_result({"a": [[1, 2, 3, 4, 5]], "b": [[1, 1, 1, 4, 5]]}, [chain("mmmgg")])
    node = within(result)
    assert np.isnan([value(node, "m"), value(node, "g")]).all()
    assert node["chains_used"].sel(estimator="a", other="b").max().item() == 0
    analysis = ti.load_analysis("agreement_within", n_resamples=20, minimum_units=3)
    tables = analysis.tables(ti.analyze(result, analysis))
    assert [table.columns[0].header for table in tables] == ["pair", "pair"]


def test_tables_say_that_nothing_is_left_of_position(tmp_path: Path) -> None:
    """Only where position is partialled out, and of no other estimator: of its pairs in groups, of itself between."""
    result = toy_result({"a": [[3, 1, 2, 5, 4]], "[position]": [[0, 1, 2, 3, 4]]}, [chain("mmmmm")])
    said = r"undefined with \[position], of which nothing is left"
    analysis = ti.load_analysis("agreement_within", n_resamples=20)
    plain, partial = analysis.tables(ti.analyze(result, analysis))
    assert said not in str(plain.caption)
    assert said in str(partial.caption)
    ti.save(result, tmp_path / "other.nc")
    analysis = ti.load_analysis("agreement_between", other=str(tmp_path / "other.nc"), n_resamples=20)
    (table,) = analysis.tables(ti.analyze(result, analysis))
    assert r"a dash for \[position], of which nothing is left" in str(table.caption)
    assert "undefined with" not in str(table.caption)
    assert [list(column.cells)[1] for column in table.columns[:3]] == [r"\[position]", "1.00", "-"]
    few = toy_result({"a": [[3, 1]], "b": [[1, 2]]}, [chain("mm")])
    analysis = ti.load_analysis("agreement_within", n_resamples=20)
    assert all("undefined" not in str(table.caption) for table in analysis.tables(ti.analyze(few, analysis)))


@pytest.mark.parametrize("parameters", [{"by": "colour"}, {"bands": 0}, {"minimum_units": 2}, {"confidence": 2.0}])
def test_parameters_out_of_range_are_refused(parameters: dict[str, Any]) -> None:
    """The message names the parameter."""
    with pytest.raises(AnalysisError, match=next(iter(parameters))):
        within(toy_result({"a": [[1.0, 2.0]]}), **parameters)


def between(result: xr.DataTree, other: Path | str, **parameters: Any) -> xr.Dataset:
    """Return the node of the agreement with another result."""
    given = {"n_resamples": 20, "minimum_units": 3, "other": str(other), **parameters}
    return ti.analyze(result, "agreement_between", **given)["analysis/agreement_between"].to_dataset()


def test_each_estimator_is_compared_with_itself(tmp_path: Path) -> None:
    """Chains and estimators are matched by name, in whatever order they stand; what differs is said."""
    chains = [toy_chain("abc", id="one"), toy_chain("defg", id="two")]
    first = toy_result({"a": [[1, 2, 3], [1, 2, 3, 4]], "b": [[1, 2, 3], [1, 2, 3, 4]]}, chains)
    second = toy_result({"c": [[1] * 4, [1] * 3], "a": [[4, 3, 2, 1], [1, 2, 3]]}, chains[::-1], objective="answer")
    ti.save(second, tmp_path / "other.nc")
    node = between(first, tmp_path / "other.nc")
    assert node["common"].to_numpy().tolist() == ["a"]
    assert node["value"].sel(common="a", partial=False).to_numpy().tolist() == [pytest.approx(1), pytest.approx(-1)]
    assert node.attrs["difference"] == "objective joint / answer"


def test_a_result_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    """A file that does not exist is told from a parameter that was not given."""
    result = toy_result({"a": [[1, 2, 3]]})
    with pytest.raises(AnalysisError, match=r"other='.*gone\.nc': there is no such file; give the file"):
        between(result, tmp_path / "gone.nc")
    with pytest.raises(AnalysisError, match="other='' is not allowed; give the file"):
        between(result, "")


def test_results_on_other_tokens_are_refused(tmp_path: Path) -> None:
    """Other reasoning, other units, no chain in common, and no other result are errors that say which."""
    result = toy_result({"a": [[1, 2, 3]]}, [toy_chain("ab1", id="c")])
    for name, other, message in (
        ("text", toy_result({"a": [[1, 2, 3]]}, [toy_chain("xyz", id="c")]), "'c' has other reasoning"),
        ("unit", toy_result({"a": [[1]]}, [toy_chain("ab1", id="c", unit="sentence")]), "'c' has other units"),
        ("chain", toy_result({"a": [[1, 2, 3]]}, [toy_chain("ab1", id="d")]), "no chain in common"),
        ("estimator", toy_result({"b": [[1, 2, 3]]}, [toy_chain("ab1", id="c")]), "no estimator in common"),
    ):
        ti.save(other, tmp_path / f"{name}.nc")
        with pytest.raises(AnalysisError, match=message):
            between(result, tmp_path / f"{name}.nc")
    with pytest.raises(AnalysisError, match="other"):
        between(result, tmp_path / "nothing.nc")
