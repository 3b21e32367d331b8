"""Quantities pooled over chains, such as shares of tokens, with intervals for which whole chains are left out."""

from __future__ import annotations

import numpy as np

from tokimp.analysis.statistics.intervals import UNBOUNDED, jackknife_interval
from tokimp.chains.arrays import FloatArray

INTERVAL_OF_POOLED = "jackknife over chains (Tukey 1958), skewness removed (Hall 1992)"
"""How intervals of pooled quantities are computed, in words."""


def pooled_ratio(
    numerator: FloatArray,
    denominator: FloatArray,
    confidence: float,
    bounds: tuple[float, float] = UNBOUNDED,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the sum of one quantity over the sum of another, with jackknife intervals over chains.

    A ratio of sums is not the mean of the chains' ratios: a chain with a large denominator counts for more.

    Parameters
    ----------
    numerator, denominator
        [chain, ...]; a chain counts nothing where either is NaN.
    confidence
        Confidence of the intervals, between 0 and 1.
    bounds
        Least and greatest value that the ratio can have; intervals are cut there.

    Returns
    -------
    tuple of numpy.ndarray
        Ratio, lower end and upper end, [...] each. All are NaN where the denominators add up to 0. The ends are also
        NaN where fewer than two chains have a denominator, and where all of these have the same ratio.
    """
    flat = [np.asarray(values, dtype=np.float64).reshape(len(values), -1) for values in (numerator, denominator)]
    ratios = np.full((3, flat[0].shape[1]), np.nan)
    for column, (top, bottom) in enumerate(zip(flat[0].T, flat[1].T, strict=True)):
        known = ~(np.isnan(top) | np.isnan(bottom))
        ratios[:, column] = _one_ratio(top[known], bottom[known], confidence, bounds)
    shape = numerator.shape[1:]
    return ratios[0].reshape(shape), ratios[1].reshape(shape), ratios[2].reshape(shape)


def _one_ratio(
    top: FloatArray, bottom: FloatArray, confidence: float, bounds: tuple[float, float]
) -> tuple[float, float, float]:
    """Return a ratio of sums and the ends of its interval, from what each chain adds to both, [chain]."""
    total = float(bottom.sum())
    if not total:
        return (np.nan,) * 3
    # A chain without a denominator says nothing about the ratio, and must not count as one more that agrees.
    counts = bottom != 0
    # Sorted, so that the order of the chains changes no bit.
    order = np.lexsort((bottom[counts], top[counts]))
    tops, bottoms = top[counts][order], bottom[counts][order]

    def ratio(weights: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore", invalid="ignore"):
            quotient: FloatArray = (weights @ tops) / (weights @ bottoms)
        return quotient

    ends = jackknife_interval(ratio, len(tops), confidence=confidence, bounds=bounds)
    return float(top.sum() / total), *ends
