"""Scores against marked units: by hand, and ties against every order of theirs."""

from __future__ import annotations

from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokimp.analysis.plausibility.scores import expected_hits, f1, iou_f1, spans, trapezoid_auprc
from tokimp.analysis.statistics.average_precision import average_precision


def test_trapezoids_are_not_average_precision() -> None:
    """Scores .9, .8, .3 of units of which the first and the last are marked: .7917 by trapezoids, .8333 by steps."""
    scores, is_marked = np.array([0.9, 0.8, 0.3]), np.array([1.0, 0.0, 1.0])
    assert trapezoid_auprc(scores, is_marked) == pytest.approx(0.7917, abs=1e-4)
    assert average_precision(scores, is_marked) == pytest.approx(0.8333, abs=1e-4)


def test_f1_by_hand() -> None:
    """Of units 1 and 2 predicted and 2 and 3 marked, one is right: precision, recall and F1 are .5."""
    assert f1(1, 2, 2) == 0.5
    assert f1(2, 2, 4) == pytest.approx(2 * 1 * 0.5 / 1.5)
    assert f1(0, 1, 3) == 0


@given(
    scores=st.lists(st.integers(0, 2), min_size=1, max_size=6),
    marks=st.integers(0, 63),
    count=st.integers(1, 6),
)
def test_hits_with_ties_are_the_mean_over_all_orders_of_them(scores: list[int], marks: int, count: int) -> None:
    """The expectation is what trying every order that respects the scores gives."""
    n_units = len(scores)
    count, is_marked = min(count, n_units), np.array([marks >> unit & 1 for unit in range(n_units)], dtype=float)
    orders = [
        order for order in permutations(range(n_units)) if all(scores[a] >= scores[b] for a, b in pairwise(order))
    ]
    twin = np.mean([is_marked[list(order[:count])].sum() for order in orders])
    assert expected_hits(np.array(scores, dtype=float), is_marked, count) == pytest.approx(twin)


def test_spans_are_runs_of_neighbours() -> None:
    """Units in any order make the runs that they stand in."""
    assert spans(np.array([7, 0, 3, 2, 6])) == [(0, 1), (2, 4), (6, 8)]
    assert spans(np.array([], dtype=int)) == []


@pytest.mark.parametrize(
    ("predicted", "marked", "expected"),
    [
        ([(0, 4)], [(0, 4)], 1.0),
        ([(0, 4)], [(2, 6)], 0.0),  # a third of the union
        ([(0, 4)], [(1, 5)], 1.0),  # three fifths
        ([(0, 2)], [(0, 4)], 1.0),  # exactly half
        ([(0, 2), (8, 9)], [(0, 2), (4, 6), (10, 12)], 2 * (1 / 2) * (1 / 3) / (1 / 2 + 1 / 3)),
        ([(0, 2)], [(4, 6)], 0.0),
    ],
)
def test_spans_count_as_found_if_they_share_half_of_their_union(
    predicted: list[tuple[int, int]], marked: list[tuple[int, int]], expected: float
) -> None:
    """Precision over predicted spans, recall over marked ones; nothing in common is 0."""
    assert iou_f1(predicted, marked) == pytest.approx(expected)
