"""Places of units, against counting the units below and beside each."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tokimp as ti
from tokimp.report.places import unit_places
from tokimp.results.by_chain import one_chain
from tokimp.testing.toy_result import toy_result
from tokimp.testing.toy_scorer import toy_chain


@given(st.lists(st.integers(0, 3), min_size=2, max_size=7))
def test_a_place_counts_the_units_that_are_less_important(scores: list[int]) -> None:
    """Units that tie share the mean of the places that they fill; the first place is 0, the last 1."""
    places = unit_places(one_chain(toy_result({"a": [[float(score) for score in scores]]}), "chain-0"))
    less = [sum(other < score for other in scores) for score in scores]
    as_much = [sum(other == score for other in scores) for score in scores]
    expected = [(below + (ties - 1) / 2) / (len(scores) - 1) for below, ties in zip(less, as_much, strict=True)]
    assert places[0] == pytest.approx(expected, abs=1e-15)


def test_an_only_unit_is_in_the_middle_and_silence_has_no_place() -> None:
    """Of one unit nothing is more or less important; where an estimator says nothing, places are NaN."""
    assert unit_places(one_chain(toy_result({"a": [[3.0]]}), "chain-0")).tolist() == [[0.5]]
    parts = [toy_result({name: [[1.0, 2.0]]}, [toy_chain("ab", id=name)]) for name in ("a", "b")]
    places = unit_places(one_chain(ti.concat(parts), "b"))
    assert np.isnan(places[0]).all()
    assert places[1].tolist() == [0, 1]
