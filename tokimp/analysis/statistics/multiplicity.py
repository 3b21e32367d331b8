"""Several comparisons at once: corrected p-values, and how many chains a difference needs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy import optimize, stats

from tokimp.chains.arrays import FloatArray

POWER = 0.8
"""With what probability a difference is to be found, where none is named."""


def holm(p_values: Sequence[float] | FloatArray) -> list[float]:
    """Correct p-values for how many there are, by Holm's step-down procedure; they keep their order.

    It holds the chance of any false finding among them, however they depend on each other (Holm 1979, Scandinavian
    Journal of Statistics 6). NaN stays NaN and does not count.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    values = np.asarray(p_values, dtype=np.float64)
    corrected = np.full(len(values), np.nan)
    known = np.flatnonzero(~np.isnan(values))
    highest = 0.0
    for place, index in enumerate(known[np.argsort(values[known])]):
        highest = max(highest, min(1.0, (len(known) - place) * float(values[index])))
        corrected[index] = highest
    return [float(round(value, 12)) for value in corrected]


def power_of_t_test(difference: float, deviation: float, n: int, *, level: float = 0.05) -> float:
    """Return the probability with which a two-sided t test finds a mean difference (exact).

    Parameters
    ----------
    difference
        The mean of the differences.
    deviation
        Their standard deviation between chains.
    n
        Number of chains, at least 2.
    level
        The test's level.
    """
    shift, limit = difference / deviation * math.sqrt(n), float(stats.t.isf(level / 2, n - 1))
    # The square of a noncentral t is a noncentral F, which holds both tails and is right for few chains too.
    return float(stats.ncf.sf(limit**2, 1, n - 1, shift**2))


def smallest_found(values: FloatArray, *, level: float = 0.05, power: float = POWER) -> float:
    """Return the smallest mean that a test of as many chains, which vary as much, finds with the probability `power`.

    Parameters
    ----------
    values
        The differences, [chain]; NaN is left out. The result is NaN for fewer than two that vary.
    level
        The test's level; divide it by the number of tests if several are made.
    """
    known = values[~np.isnan(values)]
    if len(known) < 2 or not np.ptp(known):
        return np.nan
    return float(known.std(ddof=1)) * _smallest_in_deviations(len(known), level, power)


@lru_cache(maxsize=1024)
def _smallest_in_deviations(n: int, level: float, power: float) -> float:
    """Return the smallest mean that is found with some power, in standard deviations."""

    def lacks(difference: float) -> float:
        return power_of_t_test(difference, 1.0, n, level=level) - power

    highest = 1.0
    while lacks(highest) < 0:
        highest *= 2
    return float(optimize.brentq(lacks, 1e-9, highest))


def chains_needed(values: FloatArray, difference: float, *, level: float = 0.05, power: float = POWER) -> float:
    """Return how many chains that vary as these do a test needs, to find a mean difference of this size.

    Parameters
    ----------
    values
        Differences seen, [chain]; NaN is left out. The result is NaN for fewer than two that vary.
    difference
        The size of the mean to be found.
    level, power
        As of `smallest_found`.
    """
    known = values[~np.isnan(values)]
    if len(known) < 2 or not np.ptp(known):
        return np.nan
    deviation = float(known.std(ddof=1))
    # The normal approximation is too small by a chain or two; from there the exact power decides.
    quantiles = float(stats.norm.isf(level / 2) + stats.norm.ppf(power))
    needed = max(2, math.floor((quantiles * deviation / difference) ** 2))
    while power_of_t_test(difference, deviation, needed, level=level) < power:
        needed += 1
    return float(needed)
