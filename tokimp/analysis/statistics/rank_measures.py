"""Agreement of two rankings of the same units, as they are and with position partialled out."""

from __future__ import annotations

import numpy as np
from scipy import stats

from tokimp.chains.arrays import FloatArray, IntArray

# Residuals of rank regressions are sums of a few hundred half-integers; smaller differences are rounding errors.
_DECIMALS = 9
_BLOCK = 512  # units compared at once
FEWEST_GIVEN_POSITION = 4
"""Fewest units that have a correlation with position partialled out: of three, the residuals have one direction."""


def mean_ranks(scores: FloatArray) -> FloatArray:
    """Return each unit's rank, [unit]: the least important has rank 1, and ties share their mean rank."""
    ranks: FloatArray = stats.rankdata(scores)
    return ranks


def normalised_ranks(scores: FloatArray) -> FloatArray:
    """Return each unit's rank scaled to 0 (the least important) to 1 (the most), [unit]; ties share their mean.

    The rank of a unit that is alone in its chain is NaN, and so are all ranks if a score is NaN.
    """
    if len(scores) < 2 or np.isnan(scores).any():
        return np.full(len(scores), np.nan)
    normalised: FloatArray = (mean_ranks(scores) - 1) / (len(scores) - 1)
    return normalised


def position_residuals(scores: FloatArray, positions: FloatArray | IntArray | None = None) -> FloatArray:
    """Return what remains of each unit's rank after a regression on its position.

    The units' ranks (ties share their mean rank) are regressed on position by least squares with an intercept. The
    residuals are rounded to nine decimals, so that rounding errors do not tell units apart that tie.

    Parameters
    ----------
    scores
        [unit], in the order of the units.
    positions
        Where each unit stands in its chain, [unit]; 0, 1, 2, ... by default, which is right for all units of a chain.

    Returns
    -------
    FloatArray
        [unit]; constant where the ranks follow position exactly. It is also constant for fewer than
        `FEWEST_GIVEN_POSITION` units: any two rankings of three units have partial correlation 1 or -1.
    """
    if len(scores) < FEWEST_GIVEN_POSITION:
        return np.zeros(len(scores))
    # Adding 0 turns a negative zero into zero.
    residuals: FloatArray = np.round(regression_residuals(mean_ranks(scores), positions), _DECIMALS) + 0.0
    return residuals


def regression_residuals(values: FloatArray, positions: FloatArray | IntArray | None = None) -> FloatArray:
    """Return the residuals of a least-squares regression (with an intercept) of values on position, [unit].

    Parameters
    ----------
    values
        [unit]
    positions
        As of `position_residuals`.
    """
    centred = values - values.mean()
    places = np.arange(len(values)) if positions is None else np.asarray(positions, dtype=np.float64)
    position = places - places.mean()
    square = position @ position
    slope = position @ centred / square if square else 0.0
    residuals: FloatArray = centred - slope * position
    return residuals


def is_constant(values: FloatArray) -> bool:
    """Return whether all values are the same, [unit]."""
    return bool((values == values[0]).all())


def pearson(a: FloatArray, b: FloatArray) -> float:
    """Return Pearson's correlation of two quantities of the same units, in [-1, 1].

    Pearson's correlation of two `mean_ranks` is Spearman's. That of two `position_residuals` is the partial Spearman
    correlation given position.
    """
    return float(np.clip(np.corrcoef(a, b)[0, 1], -1, 1))


def overlap_shares(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return the share that the first d units of two rankings have in common, for every depth d from 1, [depth].

    The most important unit comes first. The share is an expectation over random breaking of ties: each of the units
    that tie is among the first d with the same probability. If ties were broken by place, as in ``rank``, rankings
    would agree that have only that rule in common.
    """
    n = len(a)
    depths = np.arange(1, n + 1)
    common = np.zeros(n)
    ties = (tied_places(a), tied_places(b))
    # In blocks, so that memory grows in proportion to the length of a chain, not with its square.
    for start in range(0, n, _BLOCK):
        block = np.s_[start : start + _BLOCK]
        one, other = (np.clip((depths - first[block, None]) / size[block, None], 0, 1) for first, size in ties)
        common += (one * other).sum(axis=0)
    shares: FloatArray = common / depths
    return shares


def tied_places(scores: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return how many units rank above each unit's group of ties, and how large that group is, [unit] each."""
    _, group, size = np.unique(-scores, return_inverse=True, return_counts=True)
    first = np.cumsum(size) - size
    return first[group].astype(float), size[group].astype(float)


def rank_biased_overlap(shares: FloatArray, p: float) -> float:
    """Return the rank-biased overlap of two full rankings from their `overlap_shares`, in [0, 1].

    This is RBO_ext of Webber, Moffat and Zobel (2010, ACM Transactions on Information Systems 28(4), equation 30),
    evaluated to the full depth n: ``A_n p^n + (1 - p) / p * sum over d of A_d p^d``, where A_d is the share at depth d.
    The smaller `p` is, the more weight the first units carry. With ties, A_d is an expectation (RBO^a of Corsi and
    Urbano 2024, SIGIR), so a ranking with ties overlaps with itself by less than 1.

    Parameters
    ----------
    shares
        [depth], from 1 to the number of units.
    p
        Persistence, between 0 and 1.
    """
    weights = p ** np.arange(1, len(shares) + 1)
    return float(shares[-1] * weights[-1] + (1 - p) / p * (shares @ weights))
