"""Correlation of two quantities of units: over all units pooled, and within chains; with and without position."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tokimp.analysis.statistics.intervals import mean_interval
from tokimp.analysis.statistics.pooled import Resampling, percentile_interval
from tokimp.analysis.statistics.rank_measures import is_constant, mean_ranks, pearson, position_residuals
from tokimp.chains.arrays import FloatArray, IntArray

MEASURES = ("pearson", "spearman")
SCOPES = ("pooled", "within")
_DECIMALS = 9
_PIECE = 2**22  # numbers held at once while resampling
_ROUNDING = 1e-12  # of a sum of squares
Moments = FloatArray


@dataclass(frozen=True, slots=True)
class Association:
    """Correlations of two quantities, each with an interval.

    Attributes
    ----------
    values
        [measure, scope, partial, (value, low, high)], in the order of `MEASURES`, `SCOPES`, and no, yes.
    by_chain
        What ``within`` is the mean of, [measure, partial, chain]; NaN on chains that have no value.
    """

    values: FloatArray
    by_chain: FloatArray


def associate(
    one: Sequence[FloatArray], other: Sequence[FloatArray], resampling: Resampling, minimum_units: int = 5
) -> Association:
    """Return how two quantities of the units of several chains go together.

    - ``pooled``: the correlation over the units of all chains together. Chains that differ in level make for much of
      it. The interval is a percentile bootstrap interval, whole chains resampled.
    - ``within``: the mean over chains of the correlation within each; levels play no part. BCa interval of the mean.

    With position partialled out, each quantity is regressed, within each chain, on the unit's index (least squares
    with an intercept) and the residuals are correlated: ``pooled`` those of all chains together, which leaves the
    chains' levels out as well; ``within`` chain by chain, where Spearman's is that of the ranks' residuals, the partial
    Spearman correlation given position.

    Parameters
    ----------
    one, other
        For each chain, [unit], in the order of the units.
    resampling
        Of the chains.
    minimum_units
        Chains with fewer units have no correlation within.

    Returns
    -------
    Association
        NaN where a quantity is constant, or, of an interval, where there are fewer than two chains.
    """
    values = np.full((len(MEASURES), len(SCOPES), 2, 3), np.nan)
    by_chain = np.full((len(MEASURES), 2, len(one)), np.nan)
    pairs = list(zip(one, other, strict=True))
    for index, (a, b) in enumerate(pairs):
        if len(a) < minimum_units:
            continue
        for partial in (0, 1):
            by_chain[0, partial, index] = _defined(pearson, *(_values(x, partial) for x in (a, b)))
            by_chain[1, partial, index] = _defined(pearson, *(_ranks(x, partial) for x in (a, b)))
    for measure in range(len(MEASURES)):
        for partial in (0, 1):
            resampled = [(_values(a, partial), _values(b, partial)) for a, b in pairs]
            values[measure, 0, partial] = _pooled(resampled, resampling, ranked=bool(measure))
            interval = mean_interval(
                by_chain[measure, partial],
                confidence=resampling.confidence,
                n_resamples=resampling.n_resamples,
                seed=resampling.seed,
            )
            values[measure, 1, partial] = interval.mean, interval.low, interval.high
    return Association(values, by_chain)


def pooled_pearson(pairs: Sequence[tuple[FloatArray, FloatArray]], weights: FloatArray) -> FloatArray:
    """Return Pearson's correlation over the units of all chains, each chain counted as often as it was drawn, [draw].

    Parameters
    ----------
    pairs
        Two quantities of each chain, [unit] each.
    weights
        How often each chain was drawn, [draw, chain].
    """
    centers = [np.concatenate(side).mean() for side in zip(*pairs, strict=True)]
    moments = np.array([_moments(a - centers[0], b - centers[1]) for a, b in pairs])
    return _from_moments(weights @ moments)


def pooled_spearman(pairs: Sequence[tuple[FloatArray, FloatArray]], weights: FloatArray) -> FloatArray:
    """Return Spearman's, as `pooled_pearson` returns Pearson's: units are ranked anew among those of each draw."""
    chain = np.repeat(np.arange(len(pairs)), [len(a) for a, _ in pairs])
    sides = [np.unique(np.concatenate(side), return_inverse=True)[1] for side in zip(*pairs, strict=True)]
    found = np.empty(len(weights))
    step = max(1, _PIECE // len(chain))
    for begin in range(0, len(weights), step):
        counts = weights[begin : begin + step, chain]
        ranks = [_weighted_ranks(side, counts) for side in sides]
        total = counts.sum(axis=1, keepdims=True)
        a, b = (rank - (counts * rank).sum(axis=1, keepdims=True) / total for rank in ranks)
        products = np.stack([(counts * x * y).sum(axis=1) for x, y in ((a, a), (b, b), (a, b))], axis=1)
        found[begin : begin + step] = _ratio(products[:, 2], products[:, 0], products[:, 1])
    return found


def _weighted_ranks(level: IntArray, counts: FloatArray) -> FloatArray:
    """Return mean ranks, [draw, unit], of units at ordered levels, each there as often as it is counted."""
    order = np.argsort(level, kind="stable")
    _, firsts = np.unique(level[order], return_index=True)
    held = np.add.reduceat(counts[:, order], firsts, axis=1)
    ranks: FloatArray = (np.cumsum(held, axis=1) - (held - 1) / 2)[:, level]
    return ranks


def _pooled(
    pairs: Sequence[tuple[FloatArray, FloatArray]], resampling: Resampling, *, ranked: bool
) -> tuple[float, float, float]:
    statistic = pooled_spearman if ranked else pooled_pearson
    if not pairs or any(is_constant(np.concatenate(side)) for side in zip(*pairs, strict=True)):
        return (np.nan,) * 3
    (value,) = statistic(pairs, np.ones((1, len(pairs)))).tolist()
    low, high = percentile_interval(lambda weights: statistic(pairs, weights), len(pairs), resampling)
    return value, low, high


def _values(values: FloatArray, partial: int) -> FloatArray:
    """Return values as they are, or what is left of them once their place in the chain is known."""
    if not partial:
        return values
    place = np.arange(len(values)) - (len(values) - 1) / 2
    square = place @ place
    centred = values - values.mean()
    slope = place @ centred / square if square else 0.0
    scale = float(np.abs(values).max()) or 1.0
    # Relative to the values' size: what differs by less than this is rounding.
    residuals: FloatArray = np.round((centred - slope * place) / scale, _DECIMALS) * scale + 0.0
    return residuals


def _ranks(values: FloatArray, partial: int) -> FloatArray:
    return position_residuals(values) if partial else mean_ranks(values)


def _defined(statistic: Callable[[FloatArray, FloatArray], float], a: FloatArray, b: FloatArray) -> float:
    return np.nan if is_constant(a) or is_constant(b) else statistic(a, b)


def _moments(a: FloatArray, b: FloatArray) -> list[float]:
    return [len(a), a.sum(), b.sum(), a @ a, b @ b, a @ b]


def _from_moments(moments: Moments) -> FloatArray:
    n, sum_a, sum_b, aa, bb, ab = moments.T
    square_a, square_b = aa - sum_a**2 / n, bb - sum_b**2 / n
    # Rounding leaves a little of a constant quantity: a millionth of its size is none of its spread.
    square_a, square_b = (np.where(s > _ROUNDING * m, s, 0) for s, m in ((square_a, aa), (square_b, bb)))
    return _ratio(ab - sum_a * sum_b / n, square_a, square_b)


def _ratio(product: FloatArray, square_a: FloatArray, square_b: FloatArray) -> FloatArray:
    with np.errstate(invalid="ignore", divide="ignore"):
        found: FloatArray = np.where((square_a > 0) & (square_b > 0), product / np.sqrt(square_a * square_b), np.nan)
    return np.clip(found, -1, 1)
