"""Table and figure of the agreement with another result, read off their cells and artists."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import tokimp as ti
from tokimp.analysis.agreement.between_report import agreement_between_table
from tokimp.contracts.analysis import Analysis
from tokimp.errors import SchemaError
from tokimp.results.analysis_nodes import analysis_node
from tokimp.testing.toy_result import toy_result


def ranked(names: list[str], n_chains: int = 6, seed: int = 0) -> xr.DataTree:
    """Return a result of some estimators that rank ten units at random, and of position."""
    draw = np.random.default_rng(seed)
    scores = {name: [draw.normal(size=10) for _ in range(n_chains)] for name in names}
    return toy_result({**scores, "position": [np.arange(10.0) for _ in range(n_chains)]})


def between(result: xr.DataTree, other: xr.DataTree, folder: Path) -> tuple[xr.DataTree, Analysis]:
    """Return a result with its agreement with another one, and the analysis."""
    ti.save(other, folder / "o$th$er.nc")
    analysis = ti.load_analysis("agreement_between", other=str(folder / "o$th$er.nc"))
    return ti.analyze(result, analysis), analysis


def test_intervals_are_printed_where_there_are_enough_chains(tmp_path: Path) -> None:
    """The foot promises intervals of six chains, and none of four."""
    for n_chains in (6, 4):
        tree, analysis = between(ranked(["a"], n_chains), ranked(["a"], n_chains, seed=1), tmp_path)
        (table,) = analysis.tables(tree)
        what = "mean, 95% interval over chains" if n_chains == 6 else "mean over chains"
        assert str(table.caption).startswith(f"{what};")


def test_what_differs_from_the_other_result_is_named(tmp_path: Path) -> None:
    """Objective, versions, the model's weights and an estimator's parameters by name; or that nothing does."""
    result, other = ranked(["a"]), ranked(["a"])
    tree, analysis = between(result, other, tmp_path)
    assert analysis_node(tree, "agreement_between").attrs["difference"] == "none"
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
    assert "weights" not in analysis_node(tree, "agreement_between").attrs["difference"]


def test_the_table_says_that_nothing_is_left_of_position(tmp_path: Path) -> None:
    """The estimator that follows position is named, since it has a dash where position is partialled out."""
    result = toy_result({"a": [[3, 1, 2, 5, 4]], "[position]": [[0, 1, 2, 3, 4]]})
    ti.save(result, tmp_path / "other.nc")
    analysis = ti.load_analysis("agreement_between", other=str(tmp_path / "other.nc"))
    (table,) = analysis.tables(ti.analyze(result, analysis))
    assert r"a dash for \[position], of which nothing is left" in str(table.caption)
    assert "undefined with" not in str(table.caption)
    assert [list(column.cells)[1] for column in table.columns[:3]] == [r"\[position]", "1.00", "-"]


def test_what_has_not_been_analysed_is_refused() -> None:
    """The error says which analysis to run."""
    with pytest.raises(SchemaError, match=r"run tokimp\.analyze"):
        agreement_between_table(toy_result({"a": [[1.0, 2.0]]}))
