"""How many tokens of a category deletion at random would keep: units drawn without replacement, exactly.

A chain is divided into strata (the whole chain, or its bands of position). Of the n units of a stratum k are kept,
every set of k as probable as any other; unit u holds c_u tokens of the category. For single tokens the number of tokens
kept is hypergeometric. Where k is no whole number (units that tie across the border, each kept with the same
probability), the two neighbouring whole numbers are mixed so that their mean is k.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from scipy import stats

from tokimp.chains.arrays import FloatArray

Stratum = tuple[tuple[int, ...], float]


def expected_kept(counts: FloatArray, kept: float) -> float:
    """Return the expected number of tokens kept: the units' mean count times `kept`."""
    return float(counts.sum() * kept / len(counts))


def variance_of_kept(counts: FloatArray, kept: float) -> float:
    """Return the variance of the number of tokens kept.

    ``k (n - k) / (n (n - 1)) * sum over u of (c_u - mean)^2``, the variance of a sum drawn without replacement from a
    finite population (Cochran 1977, Sampling Techniques, theorem 2.2); for single tokens that of the hypergeometric
    distribution. A `kept` that is no whole number adds the variance of the mixture.
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
        Tokens of the category in each unit; not negative.
    kept
        Units kept, from 0 to their number.

    Examples
    --------
    >>> kept_distribution([1, 1, 0, 0], 2).round(4).tolist()
    [0.1667, 0.6667, 0.1667]
    """
    key = tuple(sorted(int(count) for count in counts))
    low = int(np.floor(kept))
    share = kept - low
    distribution = _whole(key, low)
    return distribution if not share else (1 - share) * distribution + share * _whole(key, low + 1)


@lru_cache(maxsize=65536)
def _whole(counts: tuple[int, ...], kept: int) -> FloatArray:
    n, total = len(counts), sum(counts)
    if not total or counts[-1] == 1:
        hypergeometric: FloatArray = stats.hypergeom(n, total, kept).pmf(np.arange(total + 1))
        return hypergeometric
    # Unit by unit: the next of those left is kept with the probability (still to keep) / (units left).
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
    """Return the fewest and most tokens kept in all strata together that random deletion keeps with a probability.

    Parameters
    ----------
    strata
        Counts of the units, and how many units are kept, of each stratum; strata are independent.
    confidence
        Between 0 and 1; each tail holds at most half of what is left.
    """
    pooled = np.ones(1)
    for counts, kept in strata:
        pooled = np.convolve(pooled, kept_distribution(counts, kept))
    below = np.cumsum(pooled)
    tail = (1 - confidence) / 2
    # Less than rounding errors of the sum decide nothing.
    low = int(np.searchsorted(below, tail - 1e-12, side="right" if tail == 0 else "left"))
    high = int(np.searchsorted(below, 1 - tail - 1e-12))
    return low, min(high, len(pooled) - 1)
