"""Measures of two rankings, on their own."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokimp.analysis.statistics.rank_measures import (
    normalised_ranks,
    overlap_shares,
    position_residuals,
    rank_biased_overlap,
)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=5),
    st.sampled_from([0.3, 0.9]),
)
def test_overlaps_are_means_over_all_ways_to_break_ties(pairs: list[tuple[int, int]], p: float) -> None:
    """Top-k overlap and RBO equal their slow twins, averaged over every order that the scores allow."""
    a, b = np.array(pairs, dtype=float).T

    def orders(scores: Any) -> list[tuple[int, ...]]:
        permutations = itertools.permutations(range(len(scores)))
        return [order for order in permutations if (np.diff(scores[list(order)]) <= 0).all()]

    def share(one: tuple[int, ...], other: tuple[int, ...], depth: int) -> float:
        return len(set(one[:depth]) & set(other[:depth])) / depth

    both = list(itertools.product(orders(a), orders(b)))
    n = len(a)
    shares = overlap_shares(a, b)
    assert shares.tolist() == pytest.approx([np.mean([share(x, y, d) for x, y in both]) for d in range(1, n + 1)])
    slow = [share(x, y, n) * p**n + (1 - p) / p * sum(share(x, y, d) * p**d for d in range(1, n + 1)) for x, y in both]
    assert rank_biased_overlap(shares, p) == pytest.approx(np.mean(slow))


def test_long_rankings_are_overlapped_in_blocks() -> None:
    """Rankings longer than a block have the overlaps that sets have."""
    rng = np.random.default_rng(6)
    a, b = rng.permutation(np.arange(1200.0)), rng.permutation(np.arange(1200.0))
    shares = overlap_shares(a, b)
    for depth in (1, 511, 512, 513, 900, 1200):
        common = set(np.argsort(-a)[:depth].tolist()) & set(np.argsort(-b)[:depth].tolist())
        assert shares[depth - 1] == pytest.approx(len(common) / depth)


def test_residuals_of_exact_ties_tie() -> None:
    """Units whose residuals are equal on paper are not told apart by rounding errors."""
    # Ranks 2 1 4 3 6 5 at positions 1 ... 6: slope 29 / 35, and the residuals are odd about the middle.
    residuals = position_residuals(np.array([2.0, 1.0, 4.0, 3.0, 6.0, 5.0]))
    expected = [2 - 3.5 + 2.5 * 29 / 35, 1 - 3.5 + 1.5 * 29 / 35, 4 - 3.5 + 0.5 * 29 / 35]
    assert residuals.tolist() == pytest.approx([*expected, *[-value for value in reversed(expected)]])
    # Every second unit ties at the top: symmetric about the middle, so exact opposites stay exact opposites.
    ties = position_residuals(np.array([0.3, 0.1, 0.1, 0.1, 0.1, 0.3]))
    assert len(np.unique(ties)) == 2
    assert len(np.unique(position_residuals(np.arange(300.0) * 0.1))) == 1


def test_normalised_ranks_go_from_nothing_to_one() -> None:
    """Ties share their mean rank; a unit alone has no rank, and where a score is missing no unit has one."""
    assert normalised_ranks(np.array([5.0, -1.0, 5.0, 7.0])).tolist() == pytest.approx([0.5, 0, 0.5, 1])
    assert np.isnan(normalised_ranks(np.array([3.0]))).all()
    assert np.isnan(normalised_ranks(np.array([3.0, np.nan]))).all()
