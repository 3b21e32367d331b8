"""Ragged results: choosing, joining, walking and padding chains."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokimp.analysis.run import analyze
from tokimp.errors import SchemaError
from tokimp.results.by_chain import chain_ids, iterate, one_chain, pad, select, unit_texts
from tokimp.results.schema import validate
from tokimp.testing.toy_result import toy_result
from tokimp.testing.toy_scorer import toy_chain

scores = st.lists(st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=6), min_size=1, max_size=5)


@settings(max_examples=30, deadline=None)
@given(scores, st.data())
def test_a_selection_has_each_chains_own_numbers(rows: list[list[float]], data: st.DataObject) -> None:
    """Chains chosen in any order make a valid result, in which each has what it had."""
    result = toy_result({"a": rows})
    ids = data.draw(st.lists(st.sampled_from(chain_ids(result)), min_size=1, unique=True))
    selected = select(result, ids)
    validate(selected)
    assert chain_ids(selected) == ids
    for chain_id, chain in iterate(selected):
        original = one_chain(result, chain_id).drop_vars("chain_index")
        assert chain.drop_vars("chain_index").identical(original)


@settings(max_examples=30, deadline=None)
@given(scores)
def test_padding_is_the_chains_one_below_the_other(rows: list[list[float]]) -> None:
    """Padded importance and text have each chain's values at their positions, and NaN or nothing behind them."""
    result = toy_result({"a": rows})
    longest = max(map(len, rows))
    expected = np.array([row + [np.nan] * (longest - len(row)) for row in rows])
    importance = pad(result, "importance")
    assert importance.dims == ("estimator", "chain", "position")
    assert np.array_equal(importance.sel(estimator="a"), expected, equal_nan=True)
    assert pad(result, "token_text").to_numpy().tolist() == [
        ["x"] * len(row) + [""] * (longest - len(row)) for row in rows
    ]
    ranked = pad(result, "rank").to_numpy()[0]
    assert np.array_equal(np.isnan(ranked.astype(float)), np.isnan(expected))


def test_whole_numbers_stay_whole_where_nothing_is_padded() -> None:
    """Chains of one length keep the type of their ranks."""
    assert pad(toy_result({"a": [[1, 2], [2, 1]]}), "rank").dtype == np.int64


def test_analyses_do_not_outlive_the_chains_they_are_about() -> None:
    """A selection of an analysed result has no analyses."""
    analyzed = analyze(toy_result({"a": [[1.0, 2.0], [1.0]]}), "agreement")
    assert select(analyzed, ["chain-0"]).groups == ("/",)


def test_unknown_chains_and_variables_are_named() -> None:
    """An unknown id or variable is an error that lists what there is."""
    result = toy_result({"a": [[1.0]] * 12})
    with pytest.raises(SchemaError, match=r"no chain 'c' in the result; there are 'chain-0',.* and 2 more"):
        select(result, ["c"])
    with pytest.raises(SchemaError, match="names one twice"):
        select(result, ["chain-0", "chain-0"])
    with pytest.raises(SchemaError, match="at least one id"):
        select(result, "chain-0")
    with pytest.raises(SchemaError, match=r"no variable 'gold' along 'token'; there are category"):
        pad(result, "gold")


@given(st.lists(st.integers(0, 3), min_size=1, max_size=8))
def test_the_text_of_a_unit_goes_from_its_first_character_to_its_last(owners: list[int]) -> None:
    """Against looking for each unit's tokens one by one; what lies between the parts of a unit belongs to its text."""
    numbers = [list(dict.fromkeys(owners)).index(owner) for owner in owners]
    units = tuple(tuple(at for at, number in enumerate(numbers) if number == unit) for unit in range(max(numbers) + 1))
    chain = replace(toy_chain("abcdefgh"[: len(owners)], id="c"), units=units)
    texts = unit_texts(one_chain(toy_result({"a": [np.arange(len(units), dtype=np.float64)]}, [chain]), "c"))
    assert texts == ["abcdefgh"[unit[0] : unit[-1] + 1] for unit in units]
