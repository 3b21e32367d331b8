"""Bootstrap intervals of means."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from tokimp.analysis.statistics.intervals import Resampling, mean_interval, mean_variables


def test_the_interval_covers_as_often_as_it_says() -> None:
    """Over many samples of 30 values, about 9 in 10 of the 90 % intervals hold the true mean."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        interval = mean_interval(rng.normal(1, 1, size=30), confidence=0.9, n_resamples=300)
        held += interval.low <= 1 <= interval.high
    assert 165 <= held <= 194


def test_a_slow_twin_agrees() -> None:
    """The interval of symmetric values lies where quantiles of means, resampled one by one, lie."""
    values = np.concatenate([np.arange(10.0), -np.arange(10.0)])
    rng = np.random.default_rng(1)
    means = [np.mean([values[rng.integers(20)] for _ in range(20)]) for _ in range(4000)]
    interval = mean_interval(values, n_resamples=4000)
    assert interval.mean == 0
    assert [interval.low, interval.high] == pytest.approx(np.quantile(means, [0.025, 0.975]).tolist(), abs=0.15)


def test_the_order_of_the_values_does_not_matter() -> None:
    """The same values in another order, with NaN between them, have the same interval to the last bit."""
    values = np.random.default_rng(2).normal(size=12)
    turned = np.concatenate([[np.nan], values[::-1], [np.nan]])
    assert mean_interval(values) == mean_interval(turned)


def test_the_seed_decides() -> None:
    """The same seed gives the same interval, another one another, and the mean stays."""
    values = np.random.default_rng(3).normal(size=12)
    one, other = mean_interval(values, seed=1), mean_interval(values, seed=2)
    assert mean_interval(values, seed=1) == one
    assert (one.low, one.high) != (other.low, other.high)
    assert one.mean == other.mean


@pytest.mark.parametrize(
    ("values", "mean"),
    [([], np.nan), ([np.nan], np.nan), ([0.5], 0.5), ([0.1, 0.1, 0.1], 0.1), ([0.1, 0.1 + 1e-16], 0.1)],
)
def test_where_there_is_no_interval_it_is_nan(values: list[float], mean: float) -> None:
    """No value, one value or equal values have no interval, and no warning says so."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        interval = mean_interval(np.array(values))
    assert interval.mean == pytest.approx(mean, nan_ok=True)
    assert np.isnan([interval.low, interval.high]).all()


def test_two_values_make_no_noise() -> None:
    """Two different values, the fewest an interval can be made of, warn of nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert mean_interval(np.array([0.0, 1.0])).mean == 0.5


def test_variables_of_a_node_hold_the_interval_of_each_row() -> None:
    """Means and ends are those of `mean_interval`, row by row, under the names and dimensions asked for."""
    values = np.random.default_rng(0).normal(size=(3, 9))
    values[1] = np.nan
    resampling = Resampling(confidence=0.9, n_resamples=50, seed=3)
    variables = mean_variables(("estimator",), values, resampling, "area_")
    assert [dims for dims, *_ in variables.values()] == [("estimator",)] * 3
    for row, chains in enumerate(values):
        interval = mean_interval(chains, confidence=0.9, n_resamples=50, seed=3)
        for name in ("mean", "low", "high"):
            np.testing.assert_array_equal(variables[f"area_{name}"][1][row], getattr(interval, name))
