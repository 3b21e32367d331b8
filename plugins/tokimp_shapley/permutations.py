"""Shapley values from marginal gains: along drawn orders, or over all subsets."""

from __future__ import annotations

from collections.abc import Mapping
from math import comb

import numpy as np

from tokimp.chains.arrays import FloatArray, IntArray
from tokimp.contracts.subset_scores import Subset


def prefixes(order: IntArray) -> list[Subset]:
    """Return the subsets that an order of units goes through, from none to all.

    Examples
    --------
    >>> prefixes(np.array([2, 0, 1]))
    [(), (2,), (0, 2), (0, 1, 2)]
    """
    units = order.tolist()
    return [tuple(sorted(units[:count])) for count in range(len(units) + 1)]


def marginal_gains(order: IntArray, worth: Mapping[Subset, float]) -> FloatArray:
    """Return what each unit adds to those before it in an order, [unit].

    Parameters
    ----------
    order
        The units in the order in which they are added, [unit].
    worth
        The worth of each of the order's `prefixes`.
    """
    gains = np.empty(len(order))
    gains[order] = np.diff([worth[subset] for subset in prefixes(order)])
    return gains


def exact_values(n_units: int, worth: Mapping[Subset, float]) -> FloatArray:
    """Return Shapley values by their definition, [unit], from the worth of all subsets.

    ``phi_u = sum over S without u of |S|! (n - |S| - 1)! / n! (v(S and u) - v(S))``.
    """
    values = np.zeros(n_units)
    for subset, value in worth.items():
        size = len(subset)
        # A subset counts for its own units with the weight of what is left without one, and against all others.
        inside = np.zeros(n_units, dtype=bool)
        inside[list(subset)] = True
        if size:
            values[inside] += value / (size * comb(n_units, size))
        if size < n_units:
            values[~inside] -= value / ((n_units - size) * comb(n_units, size))
    return values
