"""Parts of a result, by name and by place."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import tokimp as ti
from tokimp.errors import EstimatorError, SchemaError
from tokimp.results.by_chain import chain_ids, one_chain
from tokimp.results.selection import estimator_label, isel, sel
from tokimp.testing.toy_result import toy_result

LABELS = ("greedy:keep_ratio=0.7", "attention:query=last", "attention", "position")


def example() -> xr.DataTree:
    """Return a result of three chains of different lengths and four estimators."""
    random = np.random.default_rng(0)
    return toy_result({label: [random.normal(size=length) for length in (3, 5, 2)] for label in LABELS})


@given(
    st.lists(st.sampled_from(range(3)), min_size=1, unique=True),
    st.lists(st.sampled_from(LABELS), min_size=1, unique=True),
)
def test_a_selection_holds_the_numbers_of_its_chains_and_estimators(chains: list[int], labels: list[str]) -> None:
    """Any chains and estimators in any order give a valid result with just their numbers."""
    whole = example()
    ids = [f"chain-{index}" for index in chains]
    part = sel(whole, chain=ids, estimator=labels)
    ti.validate(part)
    assert chain_ids(part) == ids
    rows = [LABELS.index(label) for label in labels]
    for chain_id in ids:
        expected = one_chain(whole, chain_id)["importance"].to_numpy()[rows]
        assert np.array_equal(one_chain(part, chain_id)["importance"].to_numpy(), expected)
    assert part.identical(isel(whole, chain=chains, estimator=rows))


def test_a_name_stands_for_the_only_estimator_that_has_it() -> None:
    """``greedy`` is found whatever its parameters are; a label wins over a name; an unknown one lists what there is."""
    assert estimator_label(example(), "greedy") == LABELS[0]
    assert estimator_label(example(), "attention") == "attention"
    twice = toy_result({"h2o:a=1": [[1.0, 2.0]], "h2o:a=2": [[1.0, 2.0]]})
    with pytest.raises(EstimatorError, match="several estimators of the result: h2o:a=1, h2o:a=2"):
        estimator_label(twice, "h2o")
    with pytest.raises(EstimatorError, match=r"no estimator 'gredy'.*greedy:keep_ratio=0\.7"):
        estimator_label(example(), "gredy")


def test_places_count_from_both_ends_and_a_wrong_one_is_named() -> None:
    """A place, a slice and a negative place work as in xarray."""
    assert chain_ids(isel(example(), chain=-1)) == ["chain-2"]
    assert chain_ids(isel(example(), chain=slice(0, 2))) == ["chain-0", "chain-1"]
    with pytest.raises(SchemaError, match="there is no chain 3: the result has 3, from 0"):
        isel(example(), chain=3)


def test_the_accessor_selects_shows_and_tables() -> None:
    """``result.tokimp`` is there once tokimp is imported, and does what the functions do."""
    result = example()
    assert result.tokimp.sel(estimator="greedy").identical(sel(result, estimator="greedy"))
    assert result.tokimp.isel(chain=0).identical(isel(result, chain=0))
    assert result.tokimp.chain("chain-1").sizes["token"] == 5
    assert result.tokimp.pruned_text("chain-1", "position", 0.4) == "xx"
    table = result.tokimp.table()
    assert len(table) == 10 * len(LABELS)
    row = table[(table.chain_id == "chain-1") & (table.position == 2) & (table.estimator == "position")]
    assert row["importance"].item() == one_chain(result, "chain-1")["importance"].to_numpy()[3, 2]
    assert "3 chains, 10 tokens, 4 estimators" in repr(result.tokimp)
