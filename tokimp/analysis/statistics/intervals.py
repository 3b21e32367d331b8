"""Confidence intervals of means over chains, of shares, of paired differences, and of what is pooled over chains.

Each kind of quantity has the interval that covers as often as it says; ``benchmarks/coverage.py`` measures how often.
(What rests on seeds and questions has the one in `tokimp.analysis.statistics.crossed`.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from scipy import stats

from tokimp.chains.arrays import FloatArray
from tokimp.contracts.constraints import Constraint, Number

CONFIDENCE: Mapping[str, Constraint] = MappingProxyType({"confidence": Number(above=0, below=1)})
"""Which values the confidence of intervals may have, for `Analysis.constraints`."""

INTERVAL_OF_MEANS = "t interval of the mean over chains, skewness removed (Hall 1992)"
"""How `mean_variables` computes intervals, in words: the attribute ``interval`` of a node."""

Bounds = tuple[FloatArray | float, FloatArray | float]
"""Least and greatest values that numbers can have, for all of them or for each."""

UNBOUNDED = (-np.inf, np.inf)
CORRELATION = (-1.0, 1.0)
DIFFERENCE_OF_CORRELATIONS = (-2.0, 2.0)
SHARE = (0.0, 1.0)
_SAME = 1e-12  # spread, relative to the mean, that is no spread
_LEAST_SKEWNESS = 1e-6  # below which values count as symmetric


@dataclass(frozen=True, slots=True)
class MeanInterval:
    """A mean with its confidence interval; NaN where there is none."""

    mean: float
    low: float
    high: float


def mean_interval(
    values: FloatArray, *, confidence: float = 0.95, bounds: tuple[float, float] = UNBOUNDED
) -> MeanInterval:
    """Return the mean of independent values and its confidence interval.

    It is Student's t interval, after a monotone cubic transformation has taken the skewness out (Hall 1992, "On the
    removal of skewness by transformation", Journal of the Royal Statistical Society B 54). For symmetric values it is
    the t interval. It needs no random numbers.

    Parameters
    ----------
    values
        [value]; NaN is left out.
    confidence
        Confidence of the interval, between 0 and 1.
    bounds
        Least and greatest value that the mean can have; the interval is cut there.

    Returns
    -------
    MeanInterval
        Everything is NaN if there are no values. The interval is NaN for one value, and for values that are all the
        same, which say nothing about their spread. (For values that are 0 or 1, use `share_interval`.)
    """
    known = _known(values)
    if not len(known):
        return MeanInterval(np.nan, np.nan, np.nan)
    mean = float(known.mean())
    if not _varies(known):
        return MeanInterval(mean, np.nan, np.nan)
    low, high = _hall_ends(known, confidence)
    return MeanInterval(mean, max(low, bounds[0]), min(high, bounds[1]))


def mean_p_value(values: FloatArray, null: float = 0.0) -> float:
    """Return the two-sided p-value of the hypothesis that the mean of independent values is `null`.

    It is that of Student's t test. The transformation behind `mean_interval` is right near the mean, where the ends of
    an interval lie, but not far from it, where small p-values are decided; and differences from chance are nearly
    symmetric if there is none. NaN where there is no interval.
    """
    known = _known(values)
    return float(stats.ttest_1samp(known, null).pvalue) if _varies(known) else np.nan


def mean_intervals(
    values: FloatArray, confidence: float, bounds: Bounds = UNBOUNDED
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return `mean_interval` along the last dimension, the chains.

    Parameters
    ----------
    values
        [..., chain].
    confidence
        As of `mean_interval`.
    bounds
        Likewise, or an array that can be broadcast to [...] for each end.

    Returns
    -------
    tuple of numpy.ndarray
        Means, lower ends and upper ends, [...] each.
    """
    means, lows, highs = _along_chains(values, lambda row: mean_interval(row, confidence=confidence))
    return means, np.maximum(lows, bounds[0]), np.minimum(highs, bounds[1])


def mean_p_values(values: FloatArray, null: FloatArray | float = 0.0) -> FloatArray:
    """Return `mean_p_value` along the last dimension, the chains, [...]; `null` is one number or [...]."""
    nulls = np.broadcast_to(null, values.shape[:-1])
    p_values = np.full(values.shape[:-1], np.nan)
    for where in np.ndindex(*values.shape[:-1]):
        p_values[where] = mean_p_value(values[where], float(nulls[where]))
    return p_values


def share_interval(successes: int, trials: int, *, confidence: float = 0.95) -> MeanInterval:
    """Return a share and Wilson's interval of it (Wilson 1927, Journal of the American Statistical Association 22).

    It also covers where all trials succeed, or none does, and for a single trial, of which it leaves out little.

    Parameters
    ----------
    successes, trials
        How many trials succeeded, and how many there were.
    confidence
        Confidence of the interval, between 0 and 1.

    Returns
    -------
    MeanInterval
        Everything is NaN without trials.

    Examples
    --------
    >>> share_interval(1, 1)
    MeanInterval(mean=1.0, low=0.20654931437723745, high=1.0)
    """
    if not trials:
        return MeanInterval(np.nan, np.nan, np.nan)
    wilson = stats.binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    return MeanInterval(successes / trials, float(wilson.low), float(wilson.high))


def paired_share_interval(first_only: int, second_only: int, n: int, *, confidence: float = 0.95) -> MeanInterval:
    """Return the difference of two shares of the same n questions, with its interval.

    The interval is Bonett and Price's adjusted Wald interval (2012, Journal of Educational and Behavioral Statistics
    37): one question is added to either kind of disagreement. It has a width even where the two sides never
    disagree.

    Parameters
    ----------
    first_only, second_only
        Number of questions on which only the first, and only the second, succeeds.
    n
        Number of questions.
    """
    first, second = (first_only + 1) / (n + 2), (second_only + 1) / (n + 2)
    reach = stats.norm.ppf(0.5 + confidence / 2) * np.sqrt((first + second - (first - second) ** 2) / (n + 2))
    low, high = max(-1.0, first - second - float(reach)), min(1.0, first - second + float(reach))
    return MeanInterval((first_only - second_only) / n, low, high)


def jackknife_interval(
    statistic: Callable[[FloatArray], FloatArray],
    n_chains: int,
    *,
    confidence: float = 0.95,
    bounds: tuple[float, float] = UNBOUNDED,
    is_correlation: bool = False,
) -> tuple[float, float]:
    """Return the ends of the interval of a quantity that is pooled over chains, such as a ratio of sums.

    Each chain in turn is left out. What the quantity changes by makes a pseudo-value of that chain (Tukey 1958, Annals
    of Mathematical Statistics 29), and the interval is `mean_interval` of these, moved to the quantity itself.
    A correlation is transformed by Fisher's z first, and back afterwards.

    Parameters
    ----------
    statistic
        Called with how often each chain counts, [draw, chain]; returns the quantity of each draw, [draw].
    n_chains
        Number of chains.
    confidence
        Confidence of the interval, between 0 and 1.
    bounds
        Least and greatest possible value; the interval is cut there.
    is_correlation
        Whether the quantity is a correlation, whose interval is that of Fisher's z. It lies between -1 and 1 by itself.

    Returns
    -------
    tuple of float
        Lower and upper end; NaN for fewer than two chains, where leaving a chain out leaves nothing to compute from,
        where it never changes anything, and where a correlation is 1 or -1, which has no z.
    """
    if n_chains < 2:
        return np.nan, np.nan
    values = statistic(np.concatenate([np.ones((1, n_chains)), 1 - np.eye(n_chains)]))
    if not np.isfinite(values).all() or (is_correlation and (np.abs(values) >= 1).any()):
        return np.nan, np.nan
    low, high = _around(np.arctanh(values) if is_correlation else values, confidence)
    if is_correlation:
        low, high = math.tanh(low), math.tanh(high)
    return max(low, bounds[0]), min(high, bounds[1])


def mean_variables(
    dims: tuple[str, ...],
    values: FloatArray,
    confidence: float,
    prefix: str = "",
    bounds: Bounds = UNBOUNDED,
) -> dict[str, tuple[tuple[str, ...], FloatArray, dict[str, str]]]:
    """Return means over chains and their intervals as variables of a node.

    Parameters
    ----------
    dims
        Names of the dimensions before the last one.
    values
        [..., chain], with `dims` for the dots.
    confidence
        Confidence of the intervals, between 0 and 1.
    prefix
        Put before the names of the variables, which are ``mean``, ``low`` and ``high``.
    bounds
        As of `mean_intervals`.
    """
    return _variables(dims, mean_intervals(values, confidence, bounds), prefix)


def share_variables(
    dims: tuple[str, ...], values: FloatArray, confidence: float, prefix: str = ""
) -> dict[str, tuple[tuple[str, ...], FloatArray, dict[str, str]]]:
    """Return shares of chains with their Wilson intervals, as `mean_variables` does; `values` are 0, 1 or NaN.

    The share of a single chain has no interval, so that no analysis shows one that rests on one chain, whether its
    values are shares or means.
    """

    def of_row(row: FloatArray) -> MeanInterval:
        known = row[~np.isnan(row)]
        interval = share_interval(int(known.sum()), len(known), confidence=confidence)
        return interval if len(known) > 1 else MeanInterval(interval.mean, np.nan, np.nan)

    return _variables(dims, _along_chains(values, of_row), prefix)


def _variables(
    dims: tuple[str, ...], parts: Sequence[FloatArray], prefix: str
) -> dict[str, tuple[tuple[str, ...], FloatArray, dict[str, str]]]:
    long_names = {
        "mean": "mean over the chains used",
        "low": "lower end of the mean's interval",
        "high": "upper end of the mean's interval",
    }
    named = zip(long_names.items(), parts, strict=True)
    return {f"{prefix}{name}": (dims, part, {"long_name": long_name}) for (name, long_name), part in named}


def _along_chains(
    values: FloatArray, interval_of: Callable[[FloatArray], MeanInterval]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    intervals = np.full((3, *values.shape[:-1]), np.nan)
    for where in np.ndindex(*values.shape[:-1]):
        interval = interval_of(values[where])
        intervals[(slice(None), *where)] = interval.mean, interval.low, interval.high
    return intervals[0], intervals[1], intervals[2]


def _known(values: FloatArray) -> FloatArray:
    """Return the values that are known, sorted, so that their order changes no bit."""
    known: FloatArray = np.sort(values[~np.isnan(values)])
    return known


def _varies(values: FloatArray) -> bool:
    return len(values) > 1 and bool(np.ptp(values) > _SAME * max(1.0, abs(float(values.mean()))))


def _third_of_skewness(values: FloatArray) -> float:
    """Return a third of the skewness of values that vary; 0 if it is so small that it may be a rounding error."""
    skewness = float(stats.skew(values))
    return skewness / 3 if abs(skewness) > _LEAST_SKEWNESS else 0.0


def _hall_ends(values: FloatArray, confidence: float) -> tuple[float, float]:
    n, third = len(values), _third_of_skewness(values)
    quantile = float(stats.t.ppf(0.5 + confidence / 2, n - 1)) / math.sqrt(n)
    mean, deviation = float(values.mean()), float(values.std(ddof=1))
    if not third:
        return mean - deviation * quantile, mean + deviation * quantile
    # The transformation u + a u^2 + a^2 u^3 / 3 + a / (2 n), with a third of the skewness for a, solved for u.
    ends = [(np.cbrt(1 + 3 * third * (end - third / (2 * n))) - 1) / third for end in (quantile, -quantile)]
    low, high = (mean - deviation * float(end) for end in ends)
    return low, high


def _around(values: FloatArray, confidence: float) -> tuple[float, float]:
    """Return the interval around the first value from the pseudo-values of the others, each without one chain."""
    whole, without = values[0], values[1:]
    pseudo = len(without) * whole - (len(without) - 1) * without
    # A change of rounding errors is none.
    if np.ptp(without) <= _SAME * max(1.0, abs(whole)):
        return np.nan, np.nan
    interval = mean_interval(pseudo - pseudo.mean() + whole, confidence=confidence)
    return interval.low, interval.high
