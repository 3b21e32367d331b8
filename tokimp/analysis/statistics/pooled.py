"""Quantities pooled over chains, such as shares of tokens, with intervals for which whole chains are resampled."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tokimp.analysis.statistics.intervals import Resampling
from tokimp.chains.arrays import FloatArray


def pooled_ratio(
    numerator: FloatArray, denominator: FloatArray, resampling: Resampling
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the sum of one quantity over the sum of another, with percentile bootstrap intervals, chains resampled.

    A ratio of sums is not the mean of the chains' ratios: a chain with a large denominator counts for more.

    Parameters
    ----------
    numerator, denominator
        [chain, ...]; a chain counts nothing where either is NaN.
    resampling
        How chains are resampled.

    Returns
    -------
    tuple of numpy.ndarray
        Ratio, lower end and upper end, [...] each. All are NaN where the denominators add up to 0. The ends are also
        NaN where fewer than two chains have a denominator, and where all draws give the same ratio.
    """
    flat = [np.asarray(values, dtype=np.float64).reshape(len(values), -1) for values in (numerator, denominator)]
    ratios = np.full((3, flat[0].shape[1]), np.nan)
    draws: dict[int, FloatArray] = {}
    for column, (top, bottom) in enumerate(zip(flat[0].T, flat[1].T, strict=True)):
        known = ~(np.isnan(top) | np.isnan(bottom))
        count = int(known.sum())
        if not count:
            continue
        if count not in draws:
            draws[count] = _draws(count, resampling)
        ratios[:, column] = _one_ratio(top[known], bottom[known], draws[count], resampling.confidence)
    shape = numerator.shape[1:]
    return ratios[0].reshape(shape), ratios[1].reshape(shape), ratios[2].reshape(shape)


def percentile_interval(
    statistic: Callable[[FloatArray], FloatArray], n_chains: int, resampling: Resampling
) -> tuple[float, float]:
    """Return the ends of the percentile bootstrap interval of a statistic, whole chains resampled.

    Parameters
    ----------
    statistic
        Called with how often each chain was drawn, [draw, chain]; returns the statistic of each draw, [draw].
    n_chains
        Number of chains to draw from.
    resampling
        How chains are resampled.

    Returns
    -------
    tuple of float
        Lower and upper end; NaN for fewer than two chains, and where all draws give the same value.
    """
    if n_chains < 2:
        return np.nan, np.nan
    values = statistic(_draws(n_chains, resampling))
    # A draw of one chain alone may leave nothing to correlate.
    return _ends(values[np.isfinite(values)], resampling.confidence)


def _ends(values: FloatArray, confidence: float) -> tuple[float, float]:
    """Return the percentiles between which the draws' values lie with some confidence.

    They are NaN where there is no value, and where all values are the same, which says nothing about their spread
    (as in `tokimp.analysis.statistics.intervals.mean_interval`).
    """
    if not len(values) or np.ptp(values) <= 1e-12 * max(1.0, abs(values[0])):
        return np.nan, np.nan
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail]).tolist()
    return low, high


def _draws(count: int, resampling: Resampling) -> FloatArray:
    """Return how often each of `count` chains is drawn, [draw, chain]."""
    generator = np.random.default_rng(resampling.seed)
    return generator.multinomial(count, np.full(count, 1 / count), size=resampling.n_resamples).astype(np.float64)


def _one_ratio(top: FloatArray, bottom: FloatArray, draws: FloatArray, confidence: float) -> tuple[float, float, float]:
    """Return a ratio of sums and the ends of its interval, from what each chain adds to both, [chain]."""
    total = bottom.sum()
    if not total:
        return (np.nan,) * 3
    ratio = float(top.sum() / total)
    if (bottom != 0).sum() < 2:
        return ratio, np.nan, np.nan
    # Sorted, so that the order of the chains does not matter; rounded, so that rounding errors do not decide the order.
    order = np.lexsort((np.round(bottom, 9), np.round(top, 9)))
    below = draws @ bottom[order]
    # A draw that misses every chain with a denominator has no ratio.
    has_ratio = below != 0
    return ratio, *_ends((draws @ top[order])[has_ratio] / below[has_ratio], confidence)
