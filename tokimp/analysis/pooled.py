"""Shares of tokens pooled over chains, and how sure one can be of them: chains are drawn, not tokens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tokimp.scorer import FloatArray


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
        chains hold anything.
    """
    known = ~(np.isnan(numerator) | np.isnan(denominator))
    top, bottom = (np.where(known, values, 0.0) for values in (numerator, denominator))
    generator = np.random.default_rng(resampling.seed)
    count = len(top)
    draws = generator.multinomial(count, np.full(count, 1 / count), size=resampling.n_resamples).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio: FloatArray = np.where(bottom.sum(0) != 0, top.sum(0) / bottom.sum(0), np.nan)
        again = np.tensordot(draws, top, 1) / np.tensordot(draws, bottom, 1)
    tail = (1 - resampling.confidence) / 2
    ends = np.full((2, *ratio.shape), np.nan)
    enough = ((bottom != 0).sum(0) >= 2) & ~np.isnan(ratio)
    if enough.any():
        # A draw may miss every chain that holds something; it says nothing.
        finite = np.where(np.isfinite(again), again, np.nan)[:, enough]
        ends[:, enough] = np.nanquantile(finite, [tail, 1 - tail], axis=0)
    return ratio, ends[0], ends[1]
