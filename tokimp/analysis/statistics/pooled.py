"""What is pooled over chains, such as shares of tokens, and how sure one can be of it: chains are drawn, not tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tokimp.chains.arrays import FloatArray


@dataclass(frozen=True, slots=True)
class Resampling:
    """How chains are drawn again: confidence of the interval, number of draws, seed."""

    confidence: float = 0.95
    n_resamples: int = 2000
    seed: int = 0


def pooled_ratio(
    numerator: FloatArray, denominator: FloatArray, resampling: Resampling
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the sum of one quantity over the sum of another, with percentile bootstrap intervals, chains resampled.

    A ratio of sums is not the mean of the chains' ratios: a chain counts as much as what it holds.

    Parameters
    ----------
    numerator, denominator
        [chain, ...]; a chain where either is NaN counts nothing.
    resampling
        Of the chains.

    Returns
    -------
    tuple of numpy.ndarray
        Ratio, lower and upper end, [...]; NaN where the denominators sum to nothing, the ends also where fewer than two
        chains hold anything or all draws give the same.
    """
    flat = [np.asarray(values, dtype=np.float64).reshape(len(values), -1) for values in (numerator, denominator)]
    found = np.full((3, flat[0].shape[1]), np.nan)
    draws: dict[int, FloatArray] = {}
    for column, (top, bottom) in enumerate(zip(flat[0].T, flat[1].T, strict=True)):
        known = ~(np.isnan(top) | np.isnan(bottom))
        count = int(known.sum())
        if not count:
            continue
        if count not in draws:
            draws[count] = _draws(count, resampling)
        found[:, column] = _one_ratio(top[known], bottom[known], draws[count], resampling.confidence)
    shape = numerator.shape[1:]
    return found[0].reshape(shape), found[1].reshape(shape), found[2].reshape(shape)


def percentile_interval(
    statistic: Callable[[FloatArray], FloatArray], n_chains: int, resampling: Resampling
) -> tuple[float, float]:
    """Return the ends of the percentile bootstrap interval of a statistic, whole chains resampled.

    Parameters
    ----------
    statistic
        Called with how often each chain was drawn, [draw, chain]; returns its value for each draw.
    n_chains
        Among which is drawn; with fewer than two, and where all draws give the same, the ends are NaN.
    resampling
        How.
    """
    if n_chains < 2:
        return np.nan, np.nan
    found = statistic(_draws(n_chains, resampling))
    # A draw of one chain alone may leave nothing to correlate.
    return _ends(found[np.isfinite(found)], resampling.confidence)


def _ends(found: FloatArray, confidence: float) -> tuple[float, float]:
    """Return the percentiles that enclose what the draws gave, [draw]; NaN where they gave nothing, or always the same.

    Values that are all the same say nothing about their spread (as in `tokimp.analysis.statistics.intervals.mean_interval`).
    """
    if not len(found) or np.ptp(found) <= 1e-12 * max(1.0, abs(found[0])):
        return np.nan, np.nan
    tail = (1 - confidence) / 2
    low, high = np.quantile(found, [tail, 1 - tail]).tolist()
    return low, high


def _draws(count: int, resampling: Resampling) -> FloatArray:
    """Return how often each of `count` chains is drawn, [draw, chain]."""
    generator = np.random.default_rng(resampling.seed)
    return generator.multinomial(count, np.full(count, 1 / count), size=resampling.n_resamples).astype(np.float64)


def _one_ratio(top: FloatArray, bottom: FloatArray, draws: FloatArray, confidence: float) -> tuple[float, float, float]:
    total = bottom.sum()
    if not total:
        return (np.nan,) * 3
    ratio = float(top.sum() / total)
    if (bottom != 0).sum() < 2:
        return ratio, np.nan, np.nan
    # Sorted, so that the order of the chains does not matter; rounded, so that no last bit decides.
    order = np.lexsort((np.round(bottom, 9), np.round(top, 9)))
    below = draws @ bottom[order]
    # A draw may miss every chain that holds something; it says nothing.
    says = below != 0
    return ratio, *_ends((draws @ top[order])[says] / below[says], confidence)
