"""Correlations of two quantities of units: pooled over all chains or within chains, as they are or given position."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tokimp.analysis.statistics.intervals import CORRELATION, jackknife_interval, mean_interval
from tokimp.analysis.statistics.rank_measures import (
    FEWEST_GIVEN_POSITION,
    is_constant,
    mean_ranks,
    pearson,
    position_residuals,
    regression_residuals,
)
from tokimp.chains.arrays import FloatArray, IntArray

MEASURES = ("pearson", "spearman")
SCOPES = ("pooled", "within")
_DECIMALS = 9
_NUMBERS_AT_ONCE = 2**22  # held at once
_ROUNDING = 1e-12  # error of a sum of squares, relative to it


@dataclass(frozen=True, slots=True)
class Association:
    """Correlations of two quantities, with their intervals.

    Attributes
    ----------
    values
        [measure, scope, partial, (value, low, high)], in the order of `MEASURES`, of `SCOPES`, and of position kept
        and partialled out.
    by_chain
        The correlation within each chain, [measure, partial, chain], of which ``within`` is the mean; NaN on chains
        that have no value.
    """

    values: FloatArray
    by_chain: FloatArray


def associate(
    one: Sequence[FloatArray],
    other: Sequence[FloatArray],
    positions: Sequence[IntArray],
    confidence: float,
    minimum_units: int = 5,
) -> Association:
    """Return how strongly two quantities of units are correlated over several chains.

    - ``pooled``: the correlation over the units of all chains together. It depends strongly on differences in level
      between chains. Its interval is that of a jackknife over chains, of Fisher's z.
    - ``within``: the mean over chains of the correlation within a chain. Differences in level play no part. Its
      interval is that of a mean (`tokimp.analysis.statistics.intervals.mean_interval`).

    To partial position out, each quantity is regressed within each chain on where the unit stands in the chain (least
    squares with an intercept), and the residuals are correlated. ``pooled`` correlates the residuals of all chains
    together, which removes differences in level as well. ``within`` correlates them chain by chain; for Spearman the
    ranks are regressed, which gives the partial Spearman correlation given position.

    Parameters
    ----------
    one, other
        The two quantities: for each chain, [unit], in the order of the units.
    positions
        The index of each of these units among all units of its chain: for each chain, [unit]. Where some units of a
        chain have no value, the others still stand where they stand.
    confidence
        Confidence of the intervals, between 0 and 1.
    minimum_units
        Chains with fewer units have no correlation within. With position partialled out there is none of fewer than
        `tokimp.analysis.statistics.rank_measures.FEWEST_GIVEN_POSITION` units.

    Returns
    -------
    Association
        Correlations are NaN where a quantity is constant; intervals also where there are fewer than two chains.
    """
    values = np.full((len(MEASURES), len(SCOPES), 2, 3), np.nan)
    by_chain = np.full((len(MEASURES), 2, len(one)), np.nan)
    chains = list(zip(one, other, positions, strict=True))
    for index, (a, b, places) in enumerate(chains):
        for partial, fewest in ((0, minimum_units), (1, max(minimum_units, FEWEST_GIVEN_POSITION))):
            if len(a) < fewest:
                continue
            by_chain[0, partial, index] = _defined(pearson, *(_values(x, places, partial) for x in (a, b)))
            by_chain[1, partial, index] = _defined(pearson, *(_ranks(x, places, partial) for x in (a, b)))
    for measure in range(len(MEASURES)):
        for partial in (0, 1):
            resampled = [(_values(a, places, partial), _values(b, places, partial)) for a, b, places in chains]
            values[measure, 0, partial] = _pooled(resampled, confidence, ranked=bool(measure))
            interval = mean_interval(by_chain[measure, partial], confidence=confidence, bounds=CORRELATION)
            values[measure, 1, partial] = interval.mean, interval.low, interval.high
    return Association(values, by_chain)


def pooled_pearson(pairs: Sequence[tuple[FloatArray, FloatArray]], weights: FloatArray) -> FloatArray:
    """Return Pearson's correlation over the units of all chains, for each draw of chains, [draw].

    Parameters
    ----------
    pairs
        The two quantities of each chain, [unit] each.
    weights
        How often each chain was drawn, [draw, chain].
    """
    centers = [np.concatenate(side).mean() for side in zip(*pairs, strict=True)]
    moments = np.array([_moments(a - centers[0], b - centers[1]) for a, b in pairs])
    return _from_moments(weights @ moments)


def pooled_spearman(pairs: Sequence[tuple[FloatArray, FloatArray]], weights: FloatArray) -> FloatArray:
    """Return Spearman's correlation as `pooled_pearson` returns Pearson's, with units ranked anew within each draw."""
    chain = np.repeat(np.arange(len(pairs)), [len(a) for a, _ in pairs])
    sides = [np.unique(np.concatenate(side), return_inverse=True)[1] for side in zip(*pairs, strict=True)]
    correlations = np.empty(len(weights))
    step = max(1, _NUMBERS_AT_ONCE // len(chain))
    for begin in range(0, len(weights), step):
        counts = weights[begin : begin + step, chain]
        ranks = [_weighted_ranks(side, counts) for side in sides]
        total = counts.sum(axis=1, keepdims=True)
        a, b = (rank - (counts * rank).sum(axis=1, keepdims=True) / total for rank in ranks)
        products = np.stack([(counts * x * y).sum(axis=1) for x, y in ((a, a), (b, b), (a, b))], axis=1)
        correlations[begin : begin + step] = _correlation(products[:, 2], products[:, 0], products[:, 1])
    return correlations


def _weighted_ranks(level: IntArray, counts: FloatArray) -> FloatArray:
    """Return mean ranks, [draw, unit], of units that occur several times.

    Parameters
    ----------
    level
        The place of each unit's value among the different values, [unit].
    counts
        How often each unit occurs, [draw, unit].
    """
    order = np.argsort(level, kind="stable")
    _, firsts = np.unique(level[order], return_index=True)
    held = np.add.reduceat(counts[:, order], firsts, axis=1)
    ranks: FloatArray = (np.cumsum(held, axis=1) - (held - 1) / 2)[:, level]
    return ranks


def _pooled(
    pairs: Sequence[tuple[FloatArray, FloatArray]], confidence: float, *, ranked: bool
) -> tuple[float, float, float]:
    statistic = pooled_spearman if ranked else pooled_pearson
    if not pairs or any(is_constant(np.concatenate(side)) for side in zip(*pairs, strict=True)):
        return (np.nan,) * 3
    (value,) = statistic(pairs, np.ones((1, len(pairs)))).tolist()
    low, high = jackknife_interval(
        lambda weights: statistic(pairs, weights), len(pairs), confidence=confidence, is_correlation=True
    )
    return value, low, high


def _values(values: FloatArray, positions: IntArray, partial: int) -> FloatArray:
    """Return values as they are, or the residuals of their regression on position, [unit]."""
    if not partial:
        return values
    scale = float(np.abs(values).max()) or 1.0
    # Rounded relative to the size of the values: smaller differences are rounding errors.
    residuals: FloatArray = np.round(regression_residuals(values, positions) / scale, _DECIMALS) * scale + 0.0
    return residuals


def _ranks(values: FloatArray, positions: IntArray, partial: int) -> FloatArray:
    return position_residuals(values, positions) if partial else mean_ranks(values)


def _defined(statistic: Callable[[FloatArray, FloatArray], float], a: FloatArray, b: FloatArray) -> float:
    return np.nan if is_constant(a) or is_constant(b) else statistic(a, b)


def _moments(a: FloatArray, b: FloatArray) -> list[float]:
    """Return number, sums, sums of squares and sum of products of two quantities, [unit] each."""
    return [len(a), a.sum(), b.sum(), a @ a, b @ b, a @ b]


def _from_moments(moments: FloatArray) -> FloatArray:
    """Return the correlations, [draw], that follow from sums of `_moments`, [draw, moment]."""
    n, sum_a, sum_b, aa, bb, ab = moments.T
    square_a, square_b = aa - sum_a**2 / n, bb - sum_b**2 / n
    # Rounding errors give a constant quantity a small spread: up to a millionth of its size counts as none.
    square_a, square_b = (np.where(s > _ROUNDING * m, s, 0) for s, m in ((square_a, aa), (square_b, bb)))
    return _correlation(ab - sum_a * sum_b / n, square_a, square_b)


def _correlation(product: FloatArray, square_a: FloatArray, square_b: FloatArray) -> FloatArray:
    """Return correlations from sums of products and of squares of centred quantities; NaN where a square is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        defined = (square_a > 0) & (square_b > 0)
        correlations: FloatArray = np.where(defined, product / np.sqrt(square_a * square_b), np.nan)
    return np.clip(correlations, -1, 1)
