"""Other chains at the same places: which chains count for a pair of estimators that do not rank all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr

import tokimp as ti
from tokimp.analysis.agreement import beyond_place
from tokimp.analysis.agreement.other_chains import ranked_by_both
from tokimp.analysis.agreement.place_variables import place_variables
from tokimp.chains.arrays import FloatArray
from tokimp.results.analysis_nodes import analysis_node
from tokimp.results.by_chain import select
from tokimp.testing.toy_result import toy_result
from tokimp.testing.toy_scorer import toy_chain

N_CHAINS, N_UNITS = 12, 15
RANKED = [0, 3, 4, 8, 11]  # by both estimators
SILENT, CONSTANT = np.full(N_UNITS, np.nan), np.ones(N_UNITS)


def test_each_pair_has_the_chains_that_both_rank() -> None:
    """Every pair of rows is in exactly one set of chains, that of both; a pair that shares none is in no set."""
    rng = np.random.default_rng(0)
    ranks = np.array([[1, 1, 1, 1], [1, 1, 0, 1], [0, 1, 1, 1], [0, 0, 1, 0], [0, 0, 0, 0]], dtype=bool)
    empty = [SILENT, CONSTANT]
    scores = [
        np.stack([rng.random(N_UNITS) if ranks[row, chain] else empty[(row + chain) % 2] for row in range(len(ranks))])
        for chain in range(4)
    ]
    found: dict[tuple[int, int], list[int]] = {}
    for chains, pairs in ranked_by_both(scores):
        for one, other in np.argwhere(pairs).tolist():
            assert (one, other) not in found
            found[one, other] = chains.tolist()
    slow = {
        (one, other): np.flatnonzero(ranks[one] & ranks[other]).tolist()
        for one in range(len(ranks))
        for other in range(len(ranks))
    }
    assert found == {pair: chains for pair, chains in slow.items() if chains}


@pytest.mark.parametrize("empty", [SILENT, CONSTANT], ids=["silent", "all alike"])
@pytest.mark.parametrize(
    ("name", "options"),
    [("agreement", {}), ("agreement_within", {"by": "position", "bands": 2})],
)
def test_chains_that_one_of_two_does_not_rank_take_no_place_among_the_others(
    name: str, options: dict[str, Any], empty: FloatArray
) -> None:
    """With more chains than `others`, what place makes of a pair is that of a result with none but the shared ones."""
    rng = np.random.default_rng(1)
    chains = [toy_chain("x" * N_UNITS, id=f"c{i}", question=f"q{i}") for i in range(N_CHAINS)]
    drawn: dict[str, list[FloatArray]] = {label: [rng.normal(size=N_UNITS) for _ in chains] for label in "abc"}
    silent: dict[str, Callable[[int], bool]] = {"a": lambda i: i % 2 == 0, "b": lambda i: i % 2 == 1}
    for label, is_silent in silent.items():
        for i in range(N_CHAINS):
            if i not in RANKED and is_silent(i):
                drawn[label][i] = empty
    whole = toy_result(drawn, chains)
    node, of_part, alone = (
        _node(result, name, options)
        for result in (
            whole,
            select(whole, [f"c{i}" for i in RANKED]),
            toy_result({label: drawn[label] for label in "ac"}, chains),
        )
    )
    pair = {"estimator": "a", "other": "b"}
    np.testing.assert_allclose(
        node["place_chance"].sel(pair).isel(chain=RANKED), of_part["place_chance"].sel(pair), atol=1e-6
    )
    # A third estimator changes nothing of a pair.
    pair = {"estimator": "a", "other": "c"}
    np.testing.assert_allclose(node["place_chance"].sel(pair), alone["place_chance"].sel(pair), atol=1e-6)


def test_what_is_kept_of_other_chains_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """In long chains, whose features are computed again for each set of chains, place makes the same to the bit."""
    rng = np.random.default_rng(3)
    chains = [toy_chain("x" * N_UNITS, id=f"c{i}", question=f"q{i}") for i in range(N_CHAINS)]
    drawn: dict[str, list[FloatArray]] = {label: [rng.normal(size=N_UNITS) for _ in chains] for label in "abcd"}
    for label, i in (("a", 1), ("b", 4), ("c", 4), ("c", 5), ("d", 9)):
        drawn[label][i] = (SILENT, CONSTANT)[i % 2]
    result = toy_result(drawn, chains)
    kept = _node(result, "agreement", {})
    monkeypatch.setattr(beyond_place, "_UNITS_KEPT", N_UNITS - 1)
    xr.testing.assert_identical(_node(result, "agreement", {}), kept)


def test_a_pair_has_one_corrected_p_value_either_way_round() -> None:
    """Both triangles hold the same correction, of each pair once, and the diagonal holds none."""
    rng = np.random.default_rng(2)
    chains = [toy_chain("x" * N_UNITS, id=f"c{i}", question=f"q{i}") for i in range(6)]
    result = toy_result({label: [rng.normal(size=N_UNITS) for _ in chains] for label in "abc"}, chains)
    for name, options in (("agreement", {}), ("agreement_within", {"by": "position", "bands": 1})):
        node = _node(result, name, options)
        p_value, corrected = (node[variable].to_numpy()[0] for variable in ("p_value", "p_corrected"))
        above = np.triu_indices(3, 1)
        np.testing.assert_array_equal(corrected, corrected.T)
        assert np.isnan(np.diag(corrected)).all()
        assert corrected[above].min() == pytest.approx(min(1, 3 * p_value[above].min()))


def _node(result: xr.DataTree, name: str, options: dict[str, Any]) -> xr.Dataset:
    return analysis_node(ti.analyze(result, name, others=2, **options), name)


def test_a_difference_of_correlations_may_be_more_than_one() -> None:
    """A correlation of almost 1 where place alone makes almost -1 has an interval whose upper end is above 1."""
    value, chance = np.full((1, 6), 0.9), np.array([[-0.9, -0.5, -0.2, -0.8, -0.4, -0.6]])
    variables = place_variables(("common",), value, chance, np.ones(1), 0.95)
    mean, low, high = (float(variables[f"beyond_place_{end}"][1][0]) for end in ("mean", "low", "high"))
    assert 1.0 < low < mean < high < 2.0
