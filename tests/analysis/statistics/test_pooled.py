"""Quantities pooled over chains."""

from __future__ import annotations

import numpy as np
import pytest

from tokimp.analysis.statistics.intervals import Resampling
from tokimp.analysis.statistics.pooled import pooled_ratio


def test_pooled_ratios_are_ratios_of_sums() -> None:
    """A chain counts as much as what it holds; one chain alone has no interval, and nothing over nothing is NaN."""
    top, bottom = np.array([[1.0, 0.0], [3.0, 0.0]]), np.array([[1.0, 0.0], [9.0, 0.0]])
    ratio, low, high = pooled_ratio(top, bottom, Resampling(n_resamples=200))
    assert ratio[0] == pytest.approx(0.4)
    assert low[0] == pytest.approx(1 / 3)
    assert high[0] == pytest.approx(1)
    assert np.isnan([ratio[1], low[1], high[1]]).all()
    same, *ends = pooled_ratio(np.array([[0.1], [0.3], [0.7]]), np.array([[0.2], [0.6], [1.4]]), Resampling())
    assert same[0] == pytest.approx(0.5)
    assert np.isnan(ends).all()
    assert np.isnan(pooled_ratio(top[:1, :1], bottom[:1, :1], Resampling(n_resamples=9))[1]).all()
