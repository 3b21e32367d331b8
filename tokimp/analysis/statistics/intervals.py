"""Means over chains with bootstrap intervals, and the node variables that hold them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType

import numpy as np
from scipy import stats

from tokimp.chains.arrays import FloatArray
from tokimp.contracts.constraints import Constraint, Number, WholeNumber

RESAMPLING: Mapping[str, Constraint] = MappingProxyType(
    {"confidence": Number(above=0, below=1), "n_resamples": WholeNumber(1), "seed": WholeNumber(0)}
)
"""Which values the parameters of a bootstrap may have, for `Analysis.constraints`."""


INTERVAL_OF_MEANS = "BCa bootstrap of the mean, chains resampled"
"""How `mean_variables` computes intervals, in words: the attribute ``interval`` of a node."""


@dataclass(frozen=True, slots=True)
class Resampling:
    """How chains are resampled.

    Attributes
    ----------
    confidence
        Confidence of the intervals, between 0 and 1.
    n_resamples
        How often the chains are drawn.
    seed
        Seed of the draws.
    """

    confidence: float = 0.95
    n_resamples: int = 2000
    seed: int = 0


@dataclass(frozen=True, slots=True)
class MeanInterval:
    """A mean with its confidence interval; NaN where there is none."""

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
        [value]; NaN is left out.
    confidence
        Confidence of the interval, between 0 and 1.
    n_resamples
        How often the values are resampled.
    seed
        Seed of the resampling.

    Returns
    -------
    MeanInterval
        Everything is NaN if there are no values. The interval is NaN for one value, and for values that are all the
        same, which say nothing about their spread.
    """
    # Sorted, so that the order of the values does not matter. Rounded, because BCa counts how many resampled means lie
    # below the mean, and a rounding error in the last bit would move the interval.
    known = np.sort(np.round(values[~np.isnan(values)], 12))
    if not len(known):
        return MeanInterval(np.nan, np.nan, np.nan)
    mean = float(known.mean())
    if len(known) == 1 or np.ptp(known) <= 1e-12 * max(1.0, abs(mean)):
        return MeanInterval(mean, np.nan, np.nan)
    with warnings.catch_warnings():
        # The interval is then NaN, as documented; the warning would add nothing.
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        bootstrap = stats.bootstrap(
            (known,),
            np.mean,
            confidence_level=confidence,
            n_resamples=n_resamples,
            method="BCa",
            rng=np.random.default_rng(seed),
        )
    return MeanInterval(mean, float(bootstrap.confidence_interval.low), float(bootstrap.confidence_interval.high))


def mean_intervals(values: FloatArray, resampling: Resampling) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return `mean_interval` along the last dimension, the chains.

    Parameters
    ----------
    values
        [..., chain].
    resampling
        How chains are resampled.

    Returns
    -------
    tuple of numpy.ndarray
        Means, lower ends and upper ends, [...] each.
    """
    intervals = np.full((3, *values.shape[:-1]), np.nan)
    for where in np.ndindex(*values.shape[:-1]):
        interval = mean_interval(values[where], **asdict(resampling))
        intervals[(slice(None), *where)] = interval.mean, interval.low, interval.high
    return intervals[0], intervals[1], intervals[2]


def mean_variables(
    dims: tuple[str, ...], values: FloatArray, resampling: Resampling, prefix: str = ""
) -> dict[str, tuple[tuple[str, ...], FloatArray, dict[str, str]]]:
    """Return means over chains and their intervals as variables of a node.

    Parameters
    ----------
    dims
        Names of the dimensions before the last one.
    values
        [..., chain], with `dims` for the dots.
    resampling
        How chains are resampled.
    prefix
        Put before the names of the variables, which are ``mean``, ``low`` and ``high``.
    """
    long_names = {
        "mean": "mean over the chains used",
        "low": "lower end of the mean's interval",
        "high": "upper end of the mean's interval",
    }
    parts = zip(long_names.items(), mean_intervals(values, resampling), strict=True)
    return {f"{prefix}{name}": (dims, part, {"long_name": long_name}) for (name, long_name), part in parts}
