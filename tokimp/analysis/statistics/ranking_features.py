"""Rankings as vectors whose inner products are their agreement, so that means over many rankings are one product."""

from __future__ import annotations

import numpy as np

from tokimp.analysis.statistics.rank_measures import is_constant, mean_ranks, tied_places
from tokimp.chains.arrays import FloatArray

_NO_WEIGHT = 1e-15  # of a depth of the rank-biased overlap, where all that could agree does


def ranking_features(scores: FloatArray, k: int, rbo_p: float) -> list[FloatArray] | None:
    """Return one vector a measure, such that inner products of two rankings' vectors are their agreement.

    The measures are Spearman's correlation, Kendall's tau-b, the overlap of the k most important units, and the
    rank-biased overlap, as `tokimp.analysis.statistics.rank_measures` computes them for two rankings at a time. Being
    linear, the mean agreement with many rankings is the product with the mean of their vectors.

    Parameters
    ----------
    scores
        [unit]
    k
        Number of units of the overlap.
    rbo_p
        Persistence of the rank-biased overlap.

    Returns
    -------
    list of numpy.ndarray or None
        For each measure a vector; ``None`` if the scores are constant, and so no ranking.
    """
    return quantity_features(mean_ranks(scores), k, rbo_p)


def quantity_features(values: FloatArray, k: int, rbo_p: float) -> list[FloatArray] | None:
    """Return such vectors for a quantity of units, [unit]: their first product is Pearson's correlation of the values.

    That of two `tokimp.analysis.statistics.rank_measures.position_residuals` is Spearman's partial correlation given
    position. The other measures look at the order alone.
    """
    if is_constant(values):
        return None
    return [centred(values), _pair_signs(values), _members_at(values, k), _weighted_members(values, rbo_p)]


def centred(values: FloatArray) -> FloatArray:
    """Return values less their mean, as a vector of length 1: products of two are Pearson's correlation."""
    deviations = values - values.mean()
    unit: FloatArray = deviations / np.sqrt(deviations @ deviations)
    return unit


def _pair_signs(scores: FloatArray) -> FloatArray:
    """Return which unit of every pair is the more important, [unit x unit], as a vector of length 1."""
    # Differences of ranks, as of scores, may be too small to be seen; their signs are exact in single precision.
    ranks = mean_ranks(scores).astype(np.float32)
    # In double precision whatever numpy makes of single precision and an integer's root.
    signs = np.sign(ranks[:, None] - ranks[None, :]).astype(np.float64).ravel()
    unit: FloatArray = signs / np.sqrt(np.count_nonzero(signs))
    return unit


def _members_at(scores: FloatArray, k: int) -> FloatArray:
    """Return the probability of each unit to be among the first k, ties broken at random, over the root of k.

    NaN if these are all units, which any two rankings have in common.
    """
    if k >= len(scores):
        return np.full(len(scores), np.nan)
    first, size = tied_places(scores)
    members: FloatArray = np.clip((k - first) / size, 0, 1) / np.sqrt(k)
    return members


def _weighted_members(scores: FloatArray, p: float) -> FloatArray:
    """Return such probabilities for every depth, [unit x depth], weighted so that products are RBO_ext."""
    n = len(scores)
    depths = np.arange(1, n + 1)
    weights = (1 - p) / p * p**depths / depths
    weights[-1] += p**n / n
    # Depths that add nothing are left out, or long chains would take the square of their length. The last one stays.
    counts = np.flatnonzero((weights * depths > _NO_WEIGHT) | (depths == n))
    first, size = tied_places(scores)
    members = np.clip((depths[counts] - first[:, None]) / size[:, None], 0, 1)
    weighted: FloatArray = (members * np.sqrt(weights[counts])).ravel()
    return weighted
