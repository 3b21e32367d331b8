"""Pairs of units that a reader should look at: the strongest effects, and those that two methods see otherwise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from tokimp.analysis.effects.numbers import pairs_of
from tokimp.chains.arrays import FloatArray
from tokimp.results.by_chain import one_chain, unit_texts
from tokimp.results.effects_node import read_effects


@dataclass(frozen=True, slots=True)
class PairOfUnits:
    """A unit that is taken away, a later one, and the effect by one estimator or two.

    Attributes
    ----------
    chain_id
        The chain.
    texts
        The texts of the two units.
    apart
        How many units apart they stand.
    values
        The effect by each of the estimators, nats.
    """

    chain_id: str
    texts: tuple[str, str]
    apart: int
    values: tuple[float, ...]


def largest_effects(result: xr.DataTree, label: str, count: int, apart: int) -> list[PairOfUnits]:
    """Return the pairs with the largest absolute effects by an estimator, over all chains, the largest first.

    Parameters
    ----------
    result
        A result with effects.
    label
        The estimator's label.
    count
        How many pairs are returned at most.
    apart
        How many units apart the units of a pair are at least.
    """
    return _largest(result, [label], count, apart, lambda effects: np.abs(effects[0]))


def largest_differences(result: xr.DataTree, one: str, other: str, count: int, apart: int) -> list[PairOfUnits]:
    """Return the pairs whose effects differ most between two estimators, in nats, over all chains.

    The other parameters are those of `largest_effects`.
    """
    return _largest(result, [one, other], count, apart, lambda effects: np.abs(effects[0] - effects[1]))


def _largest(
    result: xr.DataTree,
    labels: Sequence[str],
    count: int,
    apart: int,
    size_of: Callable[[list[FloatArray]], FloatArray],
) -> list[PairOfUnits]:
    found, candidates = read_effects(result), []
    for chain_id in result["chain_id"].to_numpy().tolist():
        effects = [found.get((label, chain_id)) for label in labels]
        pairs: list[FloatArray] = [each.pairs.astype(np.float64) for each in effects if each is not None]
        if len(pairs) < len(labels) or not len(pairs[0]):
            continue
        rows, columns = pairs_of(len(effects[0].on_answer))  # type: ignore[union-attr] # all of them are there
        size = np.where(columns - rows >= apart, size_of(pairs), -1.0)
        for index in np.argsort(-size, kind="stable")[:count]:
            if size[index] > 0:
                values = tuple(float(each[index]) for each in pairs)
                candidates.append((size[index], chain_id, int(rows[index]), int(columns[index]), values))
    candidates.sort(key=lambda candidate: -candidate[0])
    chosen = []
    for _, chain_id, row, column, values in candidates[:count]:
        texts = unit_texts(one_chain(result, chain_id))
        chosen.append(PairOfUnits(chain_id, (texts[row], texts[column]), column - row, values))
    return chosen
