"""What deletion at random keeps, exactly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tokimp.analysis.statistics.uniform_deletion import expected_kept, kept_distribution, pooled_band, variance_of_kept


@given(st.lists(st.integers(0, 3), min_size=1, max_size=7), st.data())
def test_deletion_at_random_is_worked_out_exactly(counts: list[int], data: st.DataObject) -> None:
    """The distribution has the mean and variance of a sum drawn without replacement; of single tokens it is known."""
    kept = data.draw(st.integers(0, len(counts)))
    chances = kept_distribution(counts, kept)
    values = np.arange(len(chances))
    mean = float((chances * values).sum())
    as_array = np.array(counts, dtype=float)
    assert chances.sum() == pytest.approx(1)
    assert mean == pytest.approx(expected_kept(as_array, kept))
    assert float((chances * (values - mean) ** 2).sum()) == pytest.approx(variance_of_kept(as_array, kept), abs=1e-9)
    low, high = pooled_band([(tuple(counts), kept)], 0.95)
    assert chances[low : high + 1].sum() >= 0.95 - 1e-9


def test_the_band_of_single_tokens_is_the_hypergeometric_one() -> None:
    """Of ten units, four of a category, five kept: the quantiles of scipy's distribution."""
    band = pooled_band([((1, 1, 1, 1, 0, 0, 0, 0, 0, 0), 5)], 0.9)
    assert band == tuple(int(stats.hypergeom(10, 4, 5).ppf(q)) for q in (0.05, 0.95))
