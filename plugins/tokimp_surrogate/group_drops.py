"""Permutation importance of groups of features: what the perceptron's correlation loses if they are shuffled."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from tokimp.analysis.statistics.correlations import pooled_pearson
from tokimp.analysis.statistics.intervals import jackknife_interval, mean_interval
from tokimp.analysis.statistics.rank_measures import is_constant, pearson
from tokimp.chains.arrays import FloatArray
from tokimp_surrogate.crossfit import Crossfit, Examples


def group_drops(
    examples: Examples,
    fitted: Crossfit,
    groups: Sequence[Sequence[int]],
    *,
    permutations: int,
    confidence: float,
    seed: int,
    minimum_units: int,
) -> FloatArray:
    """Return what Pearson's correlation loses on held-out chains if the features of a group are shuffled.

    The columns of a group are shuffled together, so that a unit gets all of them from one other unit. For the pooled
    correlation they are shuffled among all units of a fold's held-out chains, for the correlation within among the
    units of each chain (Breiman 2001, "Random forests", section 10, with chains in the place of single cases). The
    fitted models stay as they are. The drop is the mean over the shuffles.

    Parameters
    ----------
    examples, fitted
        Chains with one target, and what was fitted on them.
    groups
        Columns of each group.
    permutations
        Number of shuffles of a group.
    confidence
        Confidence of the intervals, between 0 and 1.
    seed
        Seed of the shuffles.
    minimum_units
        Chains with fewer units have no correlation within.

    Returns
    -------
    FloatArray
        Drops of the correlation, [(pooled, within), group, (value, low, high)].
    """
    values = np.full((2, len(groups), 3), np.nan)
    pairs = _pairs(examples, fitted.predictions["mlp"])
    if is_constant(np.concatenate(examples.target)):
        return values
    for at, columns in enumerate(groups):
        shuffled_pairs = [
            [
                _pairs(examples, _shuffled(examples, fitted, columns, seed, draw, within=within))
                for draw in range(permutations)
            ]
            for within in (False, True)
        ]
        pooled_drop = partial(_pooled_drop, pairs, shuffled_pairs[0])
        values[0, at, 0] = pooled_drop(np.ones((1, len(examples))))[0]
        values[0, at, 1:] = jackknife_interval(pooled_drop, len(examples), confidence=confidence)
        shuffled_within = [_within(shuffled, minimum_units, constant=0.0) for shuffled in shuffled_pairs[1]]
        drops = _within(pairs, minimum_units) - np.mean(shuffled_within, axis=0)
        interval = mean_interval(drops, confidence=confidence)
        values[1, at] = interval.mean, interval.low, interval.high
    return values


def _pairs(examples: Examples, predictions: Sequence[FloatArray]) -> list[tuple[FloatArray, FloatArray]]:
    """Return target and prediction of each chain, [unit] each."""
    return list(zip(examples.target, predictions, strict=True))


def _shuffled(
    examples: Examples, fitted: Crossfit, columns: Sequence[int], seed: int, draw: int, *, within: bool
) -> list[FloatArray]:
    """Return the perceptrons' held-out predictions with some columns shuffled, for each chain, [unit]."""
    predictions: list[FloatArray] = [np.empty(0)] * len(examples)
    generator = np.random.default_rng([seed, draw, *columns[:2], len(columns)])
    for number, predict in enumerate(fitted.perceptrons):
        chains = np.flatnonzero(fitted.fold == number).tolist()
        sizes = [len(examples.target[chain]) for chain in chains]
        ends = np.cumsum(sizes)
        features = np.concatenate([examples.features[chain] for chain in chains])
        if within:
            order = np.concatenate(
                [end - size + generator.permutation(size) for size, end in zip(sizes, ends, strict=True)]
            )
        else:
            order = generator.permutation(len(features))
        features[:, columns] = features[order][:, columns]
        for chain, part in zip(chains, np.split(predict(features), ends[:-1]), strict=True):
            predictions[chain] = part
    return predictions


def _pooled_drop(
    pairs: Sequence[tuple[FloatArray, FloatArray]],
    shuffled_pairs: Sequence[Sequence[tuple[FloatArray, FloatArray]]],
    weights: FloatArray,
) -> FloatArray:
    """Return the drop of the pooled correlation, mean over shuffles, for each draw of chains, [draw]."""
    shuffled = np.mean([pooled_pearson(one_shuffle, weights) for one_shuffle in shuffled_pairs], axis=0)
    drops: FloatArray = pooled_pearson(pairs, weights) - shuffled
    return drops


def _within(pairs: Sequence[tuple[FloatArray, FloatArray]], minimum_units: int, constant: float = np.nan) -> FloatArray:
    """Return Pearson's correlation within each chain, [chain]; `constant` where the second quantity does not vary."""
    correlations = np.full(len(pairs), np.nan)
    for index, (a, b) in enumerate(pairs):
        if len(a) >= minimum_units and not is_constant(a):
            correlations[index] = constant if is_constant(b) else pearson(a, b)
    return correlations
