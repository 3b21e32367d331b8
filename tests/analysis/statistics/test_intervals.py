"""Intervals of means, shares, differences and pooled quantities: how often they cover, and where there are none."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tokimp.analysis.statistics.intervals import (
    CONFIDENCE,
    CORRELATION,
    DIFFERENCE_OF_CORRELATIONS,
    SHARE,
    MeanInterval,
    jackknife_interval,
    mean_interval,
    mean_p_value,
    mean_p_values,
    mean_variables,
    paired_share_interval,
    share_interval,
    share_variables,
)
from tokimp.chains.arrays import FloatArray

VALUES = st.lists(st.floats(-10, 10), min_size=3, max_size=12).filter(lambda values: np.ptp(values) > 0.01)
Draw = Callable[[np.random.Generator, int], FloatArray]
SHAPES: dict[str, tuple[Draw, float]] = {
    "normal": (lambda rng, n: rng.normal(1, 2, n), 1.0),
    "uniform": (lambda rng, n: rng.uniform(0, 1, n), 0.5),
    "exponential": (lambda rng, n: rng.exponential(1, n), 1.0),
    "near a bound": (lambda rng, n: rng.beta(8, 1, n), 8 / 9),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n", [5, 12, 60])
def test_intervals_of_means_cover_as_often_as_they_say(shape: str, n: int) -> None:
    """Of the 95 % intervals of few or many values, symmetric or skewed, 90 to 98 in a hundred hold the mean."""
    draw, truth = SHAPES[shape]
    rng = np.random.default_rng([n, len(shape)])
    intervals = [mean_interval(draw(rng, n)) for _ in range(600)]
    assert 0.9 <= np.mean([interval.low <= truth <= interval.high for interval in intervals]) <= 0.985


def test_symmetric_values_have_the_t_interval() -> None:
    """Without skewness there is nothing to take out, and scipy's t interval and t test are left."""
    values = np.array([-3.0, -1.0, 0.0, 1.0, 3.0]) + 0.25
    expected = stats.t.interval(0.9, 4, values.mean(), values.std(ddof=1) / np.sqrt(5))
    interval = mean_interval(values, confidence=0.9)
    assert (interval.low, interval.high) == pytest.approx(expected)
    assert mean_p_value(values, 1.0) == pytest.approx(stats.ttest_1samp(values, 1.0).pvalue)


def test_the_interval_of_skewed_values_is_the_slow_inverse_of_the_transformation() -> None:
    """Its ends are the means, found by search, at which Hall's transformed statistic has the quantiles of t."""
    values = np.array([0.1, 0.2, 0.2, 0.5, 0.9, 2.5])
    n, skewness = 6, stats.skew(values)

    def transformed(mean: float) -> float:
        t = (values.mean() - mean) / values.std(ddof=1)
        return float(np.sqrt(n) * (t + skewness * t**2 / 3 + skewness**2 * t**3 / 27 + skewness / (6 * n)))

    tried = np.linspace(-1, 6, 14_001)
    distance = np.array([transformed(mean) for mean in tried])
    quantile = stats.t.ppf(0.975, n - 1)
    interval = mean_interval(values)
    for end, wanted in ((interval.low, quantile), (interval.high, -quantile)):
        assert end == pytest.approx(tried[np.abs(distance - wanted).argmin()], abs=6e-4)


@given(VALUES)
def test_the_mean_lies_in_its_interval(values: list[float]) -> None:
    """However skewed values are, the interval has a width and holds their mean, and wider ones hold narrower ones."""
    array = np.array(values)
    wide, narrow = mean_interval(array), mean_interval(array, confidence=0.5)
    assert wide.low < narrow.low < narrow.high < wide.high
    assert wide.low <= wide.mean <= wide.high


def test_p_values_are_right_where_there_is_nothing() -> None:
    """Of many samples whose mean is the one asked about, one in twenty has a p-value below 0.05."""
    samples = np.random.default_rng(4).uniform(-1, 1, size=(1500, 8))
    assert np.mean([mean_p_value(sample) < 0.05 for sample in samples]) == pytest.approx(0.05, abs=0.02)


def test_the_order_of_the_values_does_not_matter() -> None:
    """The same values in another order, with NaN between them, have the same interval to the last bit."""
    values = np.random.default_rng(2).normal(size=12)
    turned = np.concatenate([[np.nan], values[::-1], [np.nan]])
    assert mean_interval(values) == mean_interval(turned)


def test_an_interval_is_cut_where_its_mean_cannot_be() -> None:
    """A correlation of chains near 1 has no interval beyond 1."""
    values = np.array([0.99, 0.9, 0.98, 0.2])
    assert mean_interval(values).high > 1
    assert mean_interval(values, bounds=CORRELATION).high == 1


@pytest.mark.parametrize(
    ("values", "mean"),
    [([], np.nan), ([np.nan], np.nan), ([0.5], 0.5), ([0.1, 0.1, 0.1], 0.1), ([0.1, 0.1 + 1e-16], 0.1)],
)
def test_where_there_is_no_interval_it_is_nan(values: list[float], mean: float) -> None:
    """No value, one value or equal values have no interval and no p-value, and no warning says so."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        interval = mean_interval(np.array(values))
        assert np.isnan(mean_p_value(np.array(values)))
    assert interval.mean == pytest.approx(mean, nan_ok=True)
    assert np.isnan([interval.low, interval.high]).all()


def test_two_values_make_no_noise() -> None:
    """Two different values, the fewest an interval can be made of, warn of nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert mean_interval(np.array([0.0, 1.0])).mean == 0.5


def test_wilsons_interval_is_the_formula() -> None:
    """The interval of a share is Wilson's, worked out by hand; it has a width where all succeed, and none without."""
    n, share, z = 200, 0.4, 1.959963984540054
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * (share * (1 - share) / n + z**2 / (4 * n**2)) ** 0.5 / (1 + z**2 / n)
    found = share_interval(80, 200)
    assert (found.mean, found.low, found.high) == pytest.approx((0.4, middle - half, middle + half))
    assert share_interval(9, 9).high == 1
    assert share_interval(9, 9).low == pytest.approx(0.7008, abs=1e-4)
    assert np.isnan(share_interval(0, 0).mean)


@pytest.mark.parametrize(("first", "second", "n"), [(0.2, 0.05, 12), (0.02, 0.02, 30), (0.1, 0.3, 200)])
def test_paired_differences_cover(first: float, second: float, n: int) -> None:
    """Intervals of differences of two shares of the same questions hold the truth in at least 93 of a hundred cases."""
    rng = np.random.default_rng(n)
    drawn = rng.multinomial(n, [first, second, 1 - first - second], size=1000)
    found = [paired_share_interval(int(a), int(b), n) for a, b, _ in drawn]
    assert np.mean([interval.low <= first - second <= interval.high for interval in found]) >= 0.93


def test_a_jackknife_of_a_mean_is_the_interval_of_the_mean() -> None:
    """The pseudo-values of a mean are the values themselves, so its interval is theirs."""
    values = np.random.default_rng(5).exponential(size=9)
    found = jackknife_interval(lambda weights: weights @ values / weights.sum(axis=1), 9)
    interval = mean_interval(values)
    assert found == pytest.approx((interval.low, interval.high))


def test_a_jackknife_needs_chains_that_differ() -> None:
    """One chain, chains that change nothing, and a quantity that one chain alone makes have no interval."""
    assert np.isnan(jackknife_interval(lambda weights: weights[:, 0], 1)).all()
    assert np.isnan(jackknife_interval(lambda weights: np.full(len(weights), 0.5), 4)).all()
    only_first = jackknife_interval(lambda weights: np.where(weights[:, 0] > 0, 0.5, np.nan), 4)
    assert np.isnan(only_first).all()


def test_variables_of_a_node_hold_the_interval_of_each_row() -> None:
    """Means, p-values and ends are those of each row, under the names and dimensions asked for."""
    values = np.random.default_rng(0).normal(size=(3, 9))
    values[1] = np.nan
    variables = mean_variables(("estimator",), values, 0.9, "area_")
    assert [dims for dims, *_ in variables.values()] == [("estimator",)] * 3
    for row, chains in enumerate(values):
        interval = mean_interval(chains, confidence=0.9)
        for name in ("mean", "low", "high"):
            np.testing.assert_array_equal(variables[f"area_{name}"][1][row], getattr(interval, name))
    nulls = np.array([0.0, 0.0, 0.5])
    expected = [mean_p_value(row, null) for row, null in zip(values, nulls, strict=True)]
    np.testing.assert_array_equal(mean_p_values(values, nulls), expected)


def test_shares_of_chains_have_wilsons_interval() -> None:
    """Of values that are 0, 1 or missing, the interval is Wilson's of those that are there; one alone has none."""
    values = np.array([[1.0, 0.0, 1.0, np.nan], [1.0, 1.0, 1.0, 1.0], [np.nan] * 4])
    found = share_variables(("keep_ratio",), values, 0.95)
    expected: list[MeanInterval] = [share_interval(2, 3), share_interval(4, 4), share_interval(0, 0)]
    for name in ("mean", "low", "high"):
        np.testing.assert_array_equal(found[name][1], [getattr(interval, name) for interval in expected])
    single = share_variables((), np.array([1.0, np.nan]), 0.95)
    assert [float(single[name][1]) for name in ("mean", "low", "high")] == pytest.approx(
        [1, np.nan, np.nan], nan_ok=True
    )


@pytest.mark.parametrize(
    ("bounds", "least", "most"), [(CORRELATION, -1, 1), (DIFFERENCE_OF_CORRELATIONS, -2, 2), (SHARE, 0, 1)]
)
def test_bounds_are_what_a_quantity_can_be(bounds: tuple[float, float], least: float, most: float) -> None:
    """The wide interval of two values is cut at both ends, for one row and for several."""
    values = np.array([0.2, 0.7])
    interval = mean_interval(values, bounds=bounds)
    assert (interval.low, interval.high) == (least, most)
    variables = mean_variables((), values, 0.95, bounds=bounds)
    assert [float(variables[end][1]) for end in ("low", "high")] == [least, most]


def test_the_interval_of_mirrored_values_is_mirrored() -> None:
    """Skewness to the left is taken out as skewness to the right is."""
    values = np.array([0.1, 0.2, 0.2, 0.5, 0.9, 2.5])
    right, left = mean_interval(values), mean_interval(-values)
    assert (left.low, left.high) == pytest.approx((-right.high, -right.low))


@pytest.mark.parametrize("sign", [1, -1])
def test_what_is_no_spread_depends_on_the_size_of_values(sign: int) -> None:
    """Around a million, differences of a ten-millionth are rounding errors, and some of a millionth are not."""
    for difference, varies in ((1e-7, False), (2e-6, True)):
        values = sign * (1e6 + np.array([0.0, 0.0, difference]))
        assert np.isfinite(mean_interval(values).low) == varies
        assert np.isfinite(mean_p_value(values)) == varies


def test_a_p_value_is_of_a_mean_of_0_if_nothing_else_is_asked() -> None:
    """Both for one row and for several, it is that of scipy's t test against 0."""
    values = np.array([[0.3, 0.1, -0.2, 0.5], [1.0, 2.0, 1.5, np.nan]])
    expected = [stats.ttest_1samp(row[~np.isnan(row)], 0).pvalue for row in values]
    assert [mean_p_value(row) for row in values] == pytest.approx(expected)
    assert mean_p_values(values).tolist() == pytest.approx(expected)


def test_the_interval_of_a_paired_difference_by_hand() -> None:
    """With one question added to either side: (6 - 2) / 12, and sqrt((8 / 12 - (4 / 12)^2) / 12) for an error."""
    error = np.sqrt((8 / 12 - (4 / 12) ** 2) / 12)
    for confidence, z in ((0.95, 1.959963984540054), (0.8, 1.2815515655446004)):
        found = paired_share_interval(5, 1, 10, confidence=confidence)
        assert (found.mean, found.low, found.high) == pytest.approx((0.4, 1 / 3 - z * error, 1 / 3 + z * error))
    # A difference of shares is at most 1, however wide its interval.
    first, second = paired_share_interval(10, 0, 10), paired_share_interval(0, 10, 10)
    low = 10 / 12 - 1.959963984540054 * np.sqrt((1 - (10 / 12) ** 2) / 12)
    assert (first.mean, first.low, first.high) == pytest.approx((1, low, 1))
    assert (second.mean, second.low, second.high) == pytest.approx((-1, -1, -low))
    assert first.high == 1
    assert second.low == -1


def test_a_jackknife_of_a_correlation_is_of_fishers_z() -> None:
    """Where z is a mean over chains, the interval is that of this mean, transformed back; of two chains as well."""
    for n in (2, 7):
        z = np.random.default_rng(n).normal(0.4, 0.3, size=n)

        def statistic(weights: FloatArray, z: FloatArray = z) -> FloatArray:
            correlations: FloatArray = np.tanh(weights @ z / weights.sum(axis=1))
            return correlations

        interval = mean_interval(z, confidence=0.8)
        found = jackknife_interval(statistic, n, confidence=0.8, is_correlation=True)
        assert found == pytest.approx((np.tanh(interval.low), np.tanh(interval.high)))
        assert found != pytest.approx(jackknife_interval(statistic, n, confidence=0.8, bounds=CORRELATION))


@pytest.mark.parametrize("end", [1.0, -1.0])
def test_a_perfect_correlation_has_no_z_and_a_share_of_all_has_an_interval(end: float) -> None:
    """Where leaving a chain out makes a correlation 1 or -1 there is no interval; bounds alone mean no correlation."""

    def statistic(weights: FloatArray) -> FloatArray:
        return np.where(weights[:, 0] == 0, end, 0.5 * end)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(jackknife_interval(statistic, 4, is_correlation=True)).all()
        assert np.isfinite(jackknife_interval(statistic, 4, bounds=CORRELATION)).all()


def test_a_jackknife_is_not_made_of_rounding_errors() -> None:
    """Around a million, a change of a ten-millionth when a chain is left out is none."""
    for sign in (1, -1):
        found = jackknife_interval(lambda weights, s=sign: s * (1e6 + 1e-7 * (weights[:, 0] == 0)), 4)  # type: ignore[misc]
        assert np.isnan(found).all()


def test_shares_have_the_confidence_asked_for() -> None:
    """Two chains are enough for Wilson's interval."""
    found = share_variables((), np.array([1.0, np.nan, 0.0]), 0.5)
    expected = share_interval(1, 2, confidence=0.5)
    assert [float(found[name][1]) for name in ("mean", "low", "high")] == [expected.mean, expected.low, expected.high]


def test_a_confidence_lies_between_nothing_and_all() -> None:
    """Analyses refuse 0 and 1."""
    assert [CONFIDENCE["confidence"].allows(value) for value in (0, 0.01, 0.99, 1)] == [False, True, True, False]
