"""How sure one can be of a mean over chains: bootstrap intervals."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from scipy import stats

from tokimp.chains.arrays import FloatArray


@dataclass(frozen=True, slots=True)
class MeanInterval:
    """A mean, and the interval that holds it with the confidence asked for; NaN where there is none."""

    mean: float
    low: float
    high: float


def mean_interval(
    values: FloatArray, *, confidence: float = 0.95, n_resamples: int = 2000, seed: int = 0
) -> MeanInterval:
    """Return the mean of independent values and its bootstrap confidence interval.

    The interval is bias-corrected and accelerated (BCa; Efron 1987, Journal of the American Statistical
    Association 82), as `scipy.stats.bootstrap` computes it. It depends on the values and the seed alone, not on the
    values' order.

    Parameters
    ----------
    values
        [value]; NaN ones are left out.
    confidence
        Of the interval, between 0 and 1.
    n_resamples
        How often the values are resampled.
    seed
        Of the resampling.

    Returns
    -------
    MeanInterval
        All NaN without values. With one value, or values that are all the same, nothing can be said about their
        spread: the interval is NaN.
    """
    # Sorted, so that the order of the values does not matter. Rounded, because BCa counts how many resampled means lie
    # below the mean: rounding errors of the last bit would move the interval.
    known = np.sort(np.round(values[~np.isnan(values)], 12))
    if not len(known):
        return MeanInterval(np.nan, np.nan, np.nan)
    mean = float(known.mean())
    if len(known) == 1 or np.ptp(known) <= 1e-12 * max(1.0, abs(mean)):
        return MeanInterval(mean, np.nan, np.nan)
    with warnings.catch_warnings():
        # An interval that does not exist is NaN and is documented to be; the warning would say no more.
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        found = stats.bootstrap(
            (known,),
            np.mean,
            confidence_level=confidence,
            n_resamples=n_resamples,
            method="BCa",
            rng=np.random.default_rng(seed),
        )
    return MeanInterval(mean, float(found.confidence_interval.low), float(found.confidence_interval.high))


def mean_intervals(
    values: FloatArray, *, confidence: float = 0.95, n_resamples: int = 2000, seed: int = 0
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return `mean_interval` along the last dimension: means, lower and upper ends, [...] each."""
    found = np.full((3, *values.shape[:-1]), np.nan)
    for where in np.ndindex(*values.shape[:-1]):
        interval = mean_interval(values[where], confidence=confidence, n_resamples=n_resamples, seed=seed)
        found[(slice(None), *where)] = interval.mean, interval.low, interval.high
    return found[0], found[1], found[2]
