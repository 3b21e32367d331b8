"""Exact distribution of the number of tokens of a category that deletion at random keeps.

A chain is divided into strata: the whole chain, or its bands of position. A stratum has n units and k of them are kept,
drawn without replacement, so that every set of k units is as probable as any other. Unit u holds c_u tokens of the
category. If every unit is a single token, the number of tokens kept is hypergeometric. If k is not a whole number, as
with units that tie across the border, the two neighbouring whole numbers are mixed so that their mean is k.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from scipy import stats

from tokimp.chains.arrays import FloatArray

Stratum = tuple[tuple[int, ...], float]
"""Tokens of the category in each unit, [unit], and how many units are kept."""


def expected_kept(counts: FloatArray, kept: float) -> float:
    """Return the expected number of tokens kept: the units' mean count, [unit], times the number of units `kept`."""
    return float(counts.sum() * kept / len(counts))


def variance_of_kept(counts: FloatArray, kept: float) -> float:
    """Return the variance of the number of tokens kept.

    It is ``k (n - k) / (n (n - 1)) * sum over u of (c_u - mean)^2``, the variance of a sum drawn without replacement
    from a finite population (Cochran 1977, Sampling Techniques, theorem 2.2). For single tokens this is the variance of
    the hypergeometric distribution. If `kept` is not a whole number, the variance of the mixture is added.

    Parameters
    ----------
    counts
        Tokens of the category in each unit, [unit].
    kept
        Number of units kept, from 0 to all of them.
    """
    n = len(counts)
    spread = float(((counts - counts.mean()) ** 2).sum())
    low = int(np.floor(kept))
    share = kept - low
    mixed = share * (1 - share) * float(counts.mean()) ** 2
    if n == 1 or not spread:
        return mixed
    within = [k * (n - k) / (n * (n - 1)) * spread for k in (low, min(low + 1, n))]
    return (1 - share) * within[0] + share * within[1] + mixed


def kept_distribution(counts: Iterable[int], kept: float) -> FloatArray:
    """Return the probability of keeping 0, 1, 2, ... tokens, [tokens of the category + 1].

    Parameters
    ----------
    counts
        Tokens of the category in each unit, [unit]; not negative.
    kept
        Number of units kept, from 0 to all of them.

    Examples
    --------
    >>> kept_distribution([1, 1, 0, 0], 2).round(4).tolist()
    [0.1667, 0.6667, 0.1667]
    """
    key = tuple(sorted(int(count) for count in counts))
    low = int(np.floor(kept))
    share = kept - low
    distribution = _distribution_of_whole(key, low)
    return distribution if not share else (1 - share) * distribution + share * _distribution_of_whole(key, low + 1)


@lru_cache(maxsize=65536)
def _distribution_of_whole(counts: tuple[int, ...], kept: int) -> FloatArray:
    """Return `kept_distribution` for sorted counts and a whole number of units kept."""
    n, total = len(counts), sum(counts)
    if not total or counts[-1] == 1:
        hypergeometric: FloatArray = stats.hypergeom(n, total, kept).pmf(np.arange(total + 1))
        return hypergeometric
    # Unit by unit: the next unit is kept with the probability (units still to keep) / (units left).
    table = np.zeros((kept + 1, total + 1))
    table[0, 0] = 1
    drawn = np.arange(kept + 1)[:, None]
    for index, count in enumerate(counts):
        chance = np.clip((kept - drawn) / (n - index), 0, 1)
        taken = table * chance
        table = table * (1 - chance)
        table[1:, count:] += taken[:-1, : total + 1 - count]
    distribution: FloatArray = table[kept]
    return distribution


def pooled_band(strata: Iterable[Stratum], confidence: float) -> tuple[int, int]:
    """Return the ends of the band in which the number of tokens kept in all strata together lies with a confidence.

    Parameters
    ----------
    strata
        The strata, which are independent of each other.
    confidence
        Between 0 and 1. At most half of the remaining probability is below the band, and at most half above it.

    Returns
    -------
    tuple of int
        The fewest and the most tokens.
    """
    pooled = np.ones(1)
    for counts, kept in strata:
        pooled = np.convolve(pooled, kept_distribution(counts, kept))
    below = np.cumsum(pooled)
    tail = (1 - confidence) / 2
    # Rounding errors of the sum must not decide.
    low = int(np.searchsorted(below, tail - 1e-12, side="right" if tail == 0 else "left"))
    high = int(np.searchsorted(below, 1 - tail - 1e-12))
    return low, min(high, len(pooled) - 1)
