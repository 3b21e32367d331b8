"""Rankings compared pair by pair, against scipy and against counting."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from tokimp.report.explorer.rankings import pair_correlations
from tokimp.report.places import unit_places
from tokimp.results.by_chain import one_chain
from tokimp.testing.toy_result import toy_result

SCORES = st.integers(2, 7).flatmap(
    lambda units: st.lists(st.lists(st.integers(0, 3), min_size=units, max_size=units), min_size=2, max_size=4)
)


@given(SCORES)
def test_correlations_are_spearmans(scores: list[list[int]]) -> None:
    """Each pair's number is scipy's Spearman correlation, ties and undefined cases included."""
    tree = toy_result({f"e{index}": [[float(score) for score in row]] for index, row in enumerate(scores)})
    found = pair_correlations(unit_places(one_chain(tree, "chain-0")))
    for value, (one, other) in zip(found, combinations(scores, 2), strict=True):
        if len(set(one)) == 1 or len(set(other)) == 1:
            assert np.isnan(value)
        else:
            assert value == pytest.approx(spearmanr(one, other).statistic, abs=1e-12)
