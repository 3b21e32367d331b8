"""Agreement with another result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy.stats import spearmanr

import tokimp as ti
from tokimp.errors import AnalysisError
from tokimp.results.analysis_nodes import analysis_node
from tokimp.testing.toy_result import toy_result
from tokimp.testing.toy_scorer import toy_chain


def between(result: xr.DataTree, other: Path | str, **parameters: Any) -> xr.Dataset:
    """Return the node of the agreement with another result."""
    given = {"minimum_units": 3, "other": str(other), **parameters}
    return analysis_node(ti.analyze(result, "agreement_between", **given), "agreement_between")


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


def test_beyond_place_an_estimator_agrees_with_itself_only_on_the_same_chains(tmp_path: Path) -> None:
    """A shape that scores have in both results is taken off; what they know of a chain's units stays."""
    rng = np.random.default_rng(0)
    chains = [toy_chain("x" * 40, id=f"c{i}", question=f"q{i}") for i in range(10)]
    shape = 3 * np.linspace(-1, 1, 40) ** 2
    known = [shape + rng.normal(size=40) for _ in chains]
    first = toy_result({"a": known, "b": [shape + rng.normal(size=40) for _ in chains]}, chains)
    second = toy_result({"a": [row + 0.3 * rng.normal(size=40) for row in known], "b": known}, chains)
    ti.save(second, tmp_path / "other.nc")
    node = between(first, tmp_path / "other.nc")
    assert float(node["beyond_place_mean"].sel(common="a")) > 0.3
    assert float(node["mean"].sel(common="b", partial=True)) > 0.3
    assert float(node["beyond_place_low"].sel(common="b")) < 0 < float(node["beyond_place_high"].sel(common="b"))
    analysis = ti.load_analysis("agreement_between", other=str(tmp_path / "other.nc"))
    (table,) = analysis.tables(ti.analyze(first, analysis))
    assert "Told from chance: correlation beyond place of a (" in str(table.caption)
    assert "Not told from it: b." in str(table.caption)


def test_place_is_taken_from_the_chains_that_an_estimator_ranks_in_both_results(tmp_path: Path) -> None:
    """Of more chains than `others`, silent ones take nobody's place: it is as if neither result held them."""
    rng = np.random.default_rng(4)
    chains = [toy_chain("x" * 12, id=f"c{i}", question=f"q{i}") for i in range(12)]
    silent = np.full(12, np.nan)
    both = [1, 4, 6, 9, 11]
    scores = [[rng.normal(size=12) for _ in chains] for _ in range(2)]
    first = toy_result({"a": [row if i in both or i % 2 else silent for i, row in enumerate(scores[0])]}, chains)
    second = toy_result({"a": [row if i in both or not i % 2 else silent for i, row in enumerate(scores[1])]}, chains)
    ti.save(second, tmp_path / "whole.nc")
    ids = [f"c{i}" for i in both]
    ti.save(second.tokimp.sel(chain=ids), tmp_path / "part.nc")
    whole = between(first, tmp_path / "whole.nc", others=2)["place_chance"].sel(common="a").to_numpy()
    part = between(first.tokimp.sel(chain=ids), tmp_path / "part.nc", others=2)["place_chance"].sel(common="a")
    assert np.isnan(np.delete(whole, both)).all()
    # Each has the two that are next to it among those that both rank, going round.
    for place, index in enumerate(both):
        others = [both[(place + step) % 5] for step in (1, -1)]
        by_hand = [spearmanr(scores[at][index], scores[1 - at][other]).statistic for at in (0, 1) for other in others]
        assert whole[index] == pytest.approx(np.mean(by_hand), abs=1e-6)
    np.testing.assert_allclose(whole[both], part, rtol=1e-6)
