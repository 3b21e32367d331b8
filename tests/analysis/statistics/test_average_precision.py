"""Average precision of rankings with ties, and by chance."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokimp.analysis.statistics.average_precision import average_precision, chance_average_precision


def by_hand(order: Sequence[bool]) -> float:
    """Return the average precision of a list, from whether each of its items is relevant."""
    places = [place for place, is_relevant in enumerate(order, start=1) if is_relevant]
    return float(np.mean([number / place for number, place in enumerate(places, start=1)]))


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=5).filter(lambda x: any(b for _, b in x))
)
def test_ties_are_broken_in_every_way(items: list[tuple[int, bool]]) -> None:
    """The value is the mean over all orders of the items that the scores allow."""
    allowed = [order for order in permutations(items) if [score for score, _ in order] == sorted(s for s, _ in items)]
    slow = np.mean([by_hand([is_relevant for _, is_relevant in order]) for order in allowed])
    scores, relevant = np.array(items, dtype=float).T
    assert average_precision(-scores, relevant) == pytest.approx(slow)


@pytest.mark.parametrize("n", range(1, 8))
def test_chance_is_the_mean_over_all_orders(n: int) -> None:
    """The closed form is what enumeration gives, for every number of relevant items."""
    for n_relevant in range(1, n + 1):
        relevant = [place < n_relevant for place in range(n)]
        slow = np.mean([by_hand(order) for order in permutations(relevant)])
        assert chance_average_precision(n, n_relevant) == pytest.approx(slow)


def test_chance_of_a_long_list_is_that_of_a_constant_score() -> None:
    """Two exact computations of one number agree where enumeration cannot reach, and are above the share."""
    relevant = (np.arange(5000) < 700).astype(float)
    chance = chance_average_precision(5000, 700)
    assert chance == pytest.approx(average_precision(np.zeros(5000), relevant))
    assert 0.14 < chance < 0.143


def test_without_relevant_items_there_is_no_value() -> None:
    """The share of what is not there is not 0."""
    assert np.isnan(average_precision(np.arange(3.0), np.zeros(3)))
