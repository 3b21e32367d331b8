"""Quantities pooled over chains."""

from __future__ import annotations

import numpy as np
import pytest

from tokimp.analysis.statistics.intervals import mean_interval
from tokimp.analysis.statistics.pooled import pooled_ratio


def test_pooled_ratios_are_ratios_of_sums() -> None:
    """A chain counts as much as what it holds; one chain alone has no interval, and nothing over nothing is NaN."""
    top, bottom = np.array([[1.0, 0.0], [3.0, 0.0]]), np.array([[1.0, 0.0], [9.0, 0.0]])
    ratio, low, high = pooled_ratio(top, bottom, 0.95)
    assert ratio[0] == pytest.approx(0.4)
    assert low[0] < 1 / 3 < high[0]
    assert np.isnan([ratio[1], low[1], high[1]]).all()
    same, *ends = pooled_ratio(np.array([[0.1], [0.3], [0.7]]), np.array([[0.2], [0.6], [1.4]]), 0.95)
    assert same[0] == pytest.approx(0.5)
    assert np.isnan(ends).all()
    assert np.isnan(pooled_ratio(top[:1, :1], bottom[:1, :1], 0.95)[1]).all()


def test_the_interval_is_that_of_a_slow_jackknife() -> None:
    """Ratios with one chain left out, one by one, make the pseudo-values; a chain without a denominator is none."""
    rng = np.random.default_rng(0)
    bottom = np.array([3.0, 8.0, 1.0, 5.0, 9.0, 2.0])
    top = bottom * rng.random(6)
    whole = top.sum() / bottom.sum()
    without = [np.delete(top, i).sum() / np.delete(bottom, i).sum() for i in range(6)]
    pseudo = np.array([6 * whole - 5 * ratio for ratio in without])
    expected = mean_interval(pseudo - pseudo.mean() + whole)
    padded_top, padded_bottom = (np.append(values, 0.0)[:, None] for values in (top, bottom))
    ratio, low, high = pooled_ratio(padded_top, padded_bottom, 0.95)
    assert (ratio[0], low[0], high[0]) == pytest.approx((whole, expected.low, expected.high))
    # The wide interval of two chains is cut at what a share can be.
    _, low, high = pooled_ratio(top[:2, None], bottom[:2, None], 0.95, (0.0, 1.0))
    assert (low[0], high[0]) == (0, 1)


def test_ratios_keep_their_places_and_have_the_confidence_asked_for() -> None:
    """Each column of [chain, row, column] is a ratio of its own; where either side is missing a chain is left out."""
    rng = np.random.default_rng(1)
    top, bottom = rng.random((5, 2, 3)), 1 + rng.random((5, 2, 3))
    top[0, 1, 2], bottom[1, 0, 0] = np.nan, np.nan
    ratio, low, high = pooled_ratio(top, bottom, 0.7)
    assert ratio.shape == low.shape == high.shape == (2, 3)
    for where in np.ndindex(2, 3):
        known = ~np.isnan(top[:, *where] + bottom[:, *where])
        one, two = top[known][:, *where], bottom[known][:, *where]
        n, whole = len(one), one.sum() / two.sum()
        pseudo = n * whole - (n - 1) * np.array([np.delete(one, i).sum() / np.delete(two, i).sum() for i in range(n)])
        expected = mean_interval(pseudo - pseudo.mean() + whole, confidence=0.7)
        assert (ratio[where], low[where], high[where]) == pytest.approx((whole, expected.low, expected.high))
