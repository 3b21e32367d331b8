"""The numbers of the analysis `effects`, from one chain's matrix of effects."""

from __future__ import annotations

import numpy as np

from tokimp.analysis.statistics.rank_measures import is_constant, mean_ranks, pearson, regression_residuals
from tokimp.chains.arrays import FloatArray, IntArray

DISTANCES = (("next", 1, 1), ("2 to 4", 2, 4), ("5 to 16", 5, 16), ("over 16", 17, None))
"""Classes of the distance between two units: the name, and the first and the last distance."""
_DECIMALS = 9


def distance_shares(matrix: FloatArray) -> FloatArray:
    """Return which share of the absolute effects lies in each class of `DISTANCES`; NaN if there are no effects.

    Parameters
    ----------
    matrix
        [unit taken away, unit].
    """
    size = np.abs(matrix)
    rows, columns = np.indices(matrix.shape)
    apart, total = columns - rows, size.sum()
    if not total:
        return np.full(len(DISTANCES), np.nan)
    return np.array(
        [
            size[(apart >= first) & (apart <= (len(matrix) if last is None else last))].sum() / total
            for _, first, last in DISTANCES
        ]
    )


def passed_on(matrix: FloatArray, on_answer: FloatArray) -> FloatArray:
    """Return what each unit may do to the answer through later ones, by one step, [unit]; see `Effects`.

    Examples
    --------
    Unit 2 rests on units 0 and 1 in the ratio of 3 to 1, and passes its effect on the answer back to them:

    >>> matrix = np.array([[0.0, 0.0, 3.0], [0.0, 0.0, -1.0], [0.0, 0.0, 0.0]])
    >>> passed_on(matrix, np.array([0.0, 0.0, 2.0])).tolist()
    [1.5, 0.5, 0.0]
    """
    size = np.abs(matrix)
    received = size.sum(axis=0)
    shares = np.divide(size, received, out=np.zeros_like(size), where=received > 0)
    through: FloatArray = shares @ np.abs(on_answer)
    return through


def pairs_of(n_units: int) -> tuple[IntArray, IntArray]:
    """Return the units of all pairs of a unit and a later one, [pair] each."""
    rows, columns = np.triu_indices(n_units, k=1)
    return rows, columns


def spearman_of_pairs(one: FloatArray, other: FloatArray) -> tuple[float, float]:
    """Return how far two matrices rank the effects of a chain alike: as they are, and given the distance of the units.

    Given the distance means that ranks are regressed on the logarithm of the distance, and residuals are correlated.
    NaN where one of the two is constant.
    """
    rows, columns = pairs_of(len(one))
    ranks = [mean_ranks(matrix[rows, columns].astype(np.float64)) for matrix in (one, other)]
    distance = np.log(columns - rows)
    residuals = [np.round(regression_residuals(each, distance) / len(rows), _DECIMALS) + 0.0 for each in ranks]
    return _correlation(*ranks), _correlation(*residuals)


def _correlation(one: FloatArray, other: FloatArray) -> float:
    return np.nan if is_constant(one) or is_constant(other) else float(pearson(one, other))
