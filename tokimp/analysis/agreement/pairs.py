"""Agreement of every two rankings of a chain's units."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tokimp.analysis.agreement.other_chains import products
from tokimp.analysis.statistics.rank_measures import mean_ranks
from tokimp.analysis.statistics.ranking_features import quantity_features
from tokimp.chains.arrays import FloatArray

MEASURES = ("spearman", "kendall", "top_k_overlap", "rbo")


def pair_agreements(
    rows: FloatArray, k: int, rbo_p: float, ranked_by: Callable[[FloatArray], FloatArray] = mean_ranks
) -> FloatArray:
    """Return the `MEASURES` of every two rows, [measure, row, row], in [-1, 1].

    Parameters
    ----------
    rows
        Scores of the same units, [row, unit].
    k, rbo_p
        As of `tokimp.analysis.statistics.ranking_features.ranking_features`.
    ranked_by
        What is compared of each row, [unit]: its ranks, or what is left of them.

    Returns
    -------
    numpy.ndarray
        NaN for a row that has a NaN, or whose units are all alike; and the overlap is NaN if `k` covers all units.
    """
    features = [None if np.isnan(row).any() else quantity_features(ranked_by(row), k, rbo_p) for row in rows]
    agreements: FloatArray = np.clip(products(features, features, len(MEASURES)), -1, 1)
    return agreements
