"""How far two rankings of the same units agree, and what is left of that once position is taken out."""

from __future__ import annotations

import numpy as np
from scipy import stats

from tokimp.chains.arrays import FloatArray

# Residuals of rank regressions are sums of a few hundred half-integers; what differs by less than this is rounding.
_DECIMALS = 9
_BLOCK = 512


def mean_ranks(scores: FloatArray) -> FloatArray:
    """Return each unit's rank from 1, the least important first; ties share their mean rank, [unit]."""
    places: FloatArray = stats.rankdata(scores)
    return places


def position_residuals(scores: FloatArray) -> FloatArray:
    """Return what is left of each unit's rank once its position is known.

    The units' ranks (ties share their mean rank) are regressed on the units' indices by least squares with an
    intercept; the residuals are rounded to nine decimals, so that units that tie exactly are not told apart by
    rounding errors.

    Parameters
    ----------
    scores
        [unit], in the order of the units.

    Returns
    -------
    FloatArray
        [unit]; constant where the ranks follow position exactly.
    """
    places = mean_ranks(scores)
    places = places - places.mean()
    position = np.arange(len(scores)) - (len(scores) - 1) / 2
    square = position @ position
    slope = position @ places / square if square else 0.0
    residuals: FloatArray = np.round(places - slope * position, _DECIMALS) + 0.0
    return residuals


def is_constant(values: FloatArray) -> bool:
    """Whether no unit is told from another."""
    return bool((values == values[0]).all())


def pearson(a: FloatArray, b: FloatArray) -> float:
    """Return Pearson's correlation, in [-1, 1].

    Of two `mean_ranks` it is Spearman's; of two `position_residuals` it is the partial Spearman correlation given
    position.
    """
    return float(np.clip(np.corrcoef(a, b)[0, 1], -1, 1))


def kendall(a: FloatArray, b: FloatArray) -> float:
    """Return Kendall's tau-b, in [-1, 1]."""
    return float(stats.kendalltau(a, b).statistic)


def overlap_shares(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return the share that the first d units of two rankings have in common, for every depth d from 1, [depth].

    The most important unit comes first. Of units that tie, each is among the first d with the same probability, and
    the share is the expected one: ties broken by place, as in ``rank``, would make rankings agree that have nothing
    but that rule in common.
    """
    n = len(a)
    depths = np.arange(1, n + 1)
    common = np.zeros(n)
    spans = (_tied_places(a), _tied_places(b))
    # In blocks, so that memory stays in proportion to the length of long chains.
    for start in range(0, n, _BLOCK):
        block = np.s_[start : start + _BLOCK]
        one, other = (np.clip((depths - first[block, None]) / size[block, None], 0, 1) for first, size in spans)
        common += (one * other).sum(axis=0)
    shares: FloatArray = common / depths
    return shares


def _tied_places(scores: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return how many units are above each unit's tie, and how many are in the tie, [unit] each."""
    _, group, size = np.unique(-scores, return_inverse=True, return_counts=True)
    first = np.cumsum(size) - size
    return first[group].astype(float), size[group].astype(float)


def rank_biased_overlap(shares: FloatArray, p: float) -> float:
    """Return the rank-biased overlap of two full rankings from their `overlap_shares`, in [0, 1].

    RBO_ext of Webber, Moffat and Zobel (2010, ACM Transactions on Information Systems 28(4), equation 30), evaluated
    to the full depth n: ``A_n p^n + (1 - p) / p * sum over d of A_d p^d``, where A_d is the share at depth d. The
    first d units carry more of the weight the smaller `p` is. With ties, A_d is an expectation (RBO^a of Corsi and
    Urbano 2024, SIGIR), so a ranking with ties overlaps with itself by less than 1.
    """
    weights = p ** np.arange(1, len(shares) + 1)
    return float(shares[-1] * weights[-1] + (1 - p) / p * (shares @ weights))


def chance_overlap_shares(n: int) -> FloatArray:
    """Return the expected `overlap_shares` of two independent random rankings of `n` units: d / n, [depth]."""
    return np.arange(1, n + 1) / n
