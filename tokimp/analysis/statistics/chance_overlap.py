"""What two independent random rankings have in common, as they are and with position partialled out."""

from __future__ import annotations

from functools import lru_cache
from itertools import permutations

import numpy as np

from tokimp.analysis.statistics.rank_measures import FEWEST_GIVEN_POSITION, is_constant, position_residuals, tied_places
from tokimp.chains.arrays import FloatArray

_MOST_ENUMERATED = 6  # units of which all 720 rankings are tried
_NUMBERS_DRAWN = 500_000  # draws times units; the shares are then right to about 0.001
_FEW = 100  # units, above which position makes a difference of less than 0.0001


def chance_overlap_shares(n: int) -> FloatArray:
    """Return the expected `overlap_shares` of two independent random rankings of `n` units: d / n, [depth]."""
    return np.arange(1, n + 1) / n


@lru_cache(maxsize=4096)
def chance_overlap_shares_given_position(n: int) -> FloatArray:
    """Return the expected `overlap_shares` of the `position_residuals` of two independent random rankings, [depth].

    They have more in common than the rankings themselves. A regression takes most from the units at both ends, so that
    the units between them are more often at the top, for either ranking: with five units the first is the same in
    0.214 of cases, not 0.2. From some twenty units on hardly anything of this is left.

    With p the probability that a unit is among the first d, the share is the sum of p squared over units, divided
    by d. For up to six units all rankings are tried. For more units, rankings are drawn, always the same ones. For more
    than a hundred, the shares are those of the rankings themselves.

    Parameters
    ----------
    n
        Number of units. All values are NaN where no two rankings can be compared given position.
    """
    if n < FEWEST_GIVEN_POSITION:
        return np.full(n, np.nan)
    if n <= _MOST_ENUMERATED:
        places = [_places(np.array(order, dtype=float)) for order in permutations(range(n))]
        first, size = np.array(places).swapaxes(0, 1)
        follows = np.isnan(first[:, 0])
        first, size = first[~follows], size[~follows]
        likely = [np.clip((depth - first) / size, 0, 1).mean(axis=0) for depth in range(1, n + 1)]
        shares: FloatArray = np.square(likely).sum(axis=1) / np.arange(1, n + 1)
        return shares
    return _drawn_shares(n, _NUMBERS_DRAWN // n) if n <= _FEW else chance_overlap_shares(n)


def _places(order: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the `tied_places` of a ranking's residuals, [unit] each; NaN where it follows position exactly."""
    residuals = position_residuals(order)
    return (np.full(len(order), np.nan),) * 2 if is_constant(residuals) else tied_places(residuals)


def _drawn_shares(n: int, draws: int) -> FloatArray:
    """Return `chance_overlap_shares_given_position` from random rankings, [depth]."""
    generator = np.random.default_rng(n)
    ranks = generator.permuted(np.broadcast_to(np.arange(n, dtype=float), (draws, n)), axis=1)
    position = np.arange(n) - (n - 1) / 2
    residuals = ranks - np.outer(ranks @ position / (position @ position), position)
    # Ties are broken at random: residuals that are equal differ by rounding errors or less.
    order = np.argsort(np.round(residuals, 9) + 1e-8 * generator.random(residuals.shape), axis=1)[:, ::-1]
    counts = np.zeros((n, n))  # how often each unit had each place, [place, unit]
    for place in range(n):
        counts[place] = np.bincount(order[:, place], minlength=n)
    chance = np.cumsum(counts, axis=0) / draws
    # The square of an estimate is too large by its variance.
    squares = chance**2 - chance * (1 - chance) / (draws - 1)
    shares: FloatArray = squares.sum(axis=1) / np.arange(1, n + 1)
    return shares
