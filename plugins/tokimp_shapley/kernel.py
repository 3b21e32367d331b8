"""KernelSHAP: which subsets are scored, with which weights, and the least squares that they are put into."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from math import comb

import numpy as np

from tokimp.chains.arrays import FloatArray
from tokimp.contracts.subset_scores import Subset


def kernel_weight(n_units: int, size: int) -> float:
    """Return the weight of one subset of a size between 0 and the number of units, both excluded.

    ``(n - 1) / (C(n, s) s (n - s))``: Lundberg and Lee 2017, theorem 2.
    """
    return (n_units - 1) / (comb(n_units, size) * size * (n_units - size))


def kernel_subsets(n_units: int, evaluations: int, generator: np.random.Generator) -> tuple[list[Subset], FloatArray]:
    """Return the subsets to score, without none and all, and their weights, [subset].

    Sizes are filled from both ends: 1 and n - 1, then 2 and n - 2, and so on. A pair of sizes is scored completely as
    long as what is left of `evaluations` covers it. Of the sizes between, subsets are drawn by the weight of their
    size, each with its complement. What is drawn several times counts as often.

    Parameters
    ----------
    n_units
        The number of units, 2 or more.
    evaluations
        How many subsets are scored at most.
    generator
        What subsets are drawn with.
    """
    units = range(n_units)
    subsets: list[Subset] = []
    weights: list[float] = []
    smallest = 1
    while smallest <= n_units - smallest:
        sizes = dict.fromkeys((smallest, n_units - smallest))
        if len(subsets) + sum(comb(n_units, size) for size in sizes) > evaluations:
            break
        for size in sizes:
            complete = list(combinations(units, size))
            subsets += complete
            weights += [kernel_weight(n_units, size)] * len(complete)
        smallest += 1
    between = range(smallest, n_units - smallest + 1)
    drawn = _draw(n_units, between, evaluations - len(subsets), generator)
    # All subsets of the sizes between weigh as much as they do together, however many of them were drawn.
    left = sum(comb(n_units, size) * kernel_weight(n_units, size) for size in between)
    total = sum(drawn.values())
    subsets += drawn
    weights += [left * count / total for count in drawn.values()]
    return subsets, np.array(weights)


def _draw(n_units: int, sizes: Sequence[int], most: int, generator: np.random.Generator) -> Counter[Subset]:
    """Return at most `most` different subsets of some sizes, and how often each was drawn."""
    drawn: Counter[Subset] = Counter()
    if not sizes or most < 2:
        return drawn
    by_size = np.array([1 / (size * (n_units - size)) for size in sizes])
    # Subsets of few units repeat, so there is an end to trying.
    for _ in range(4 * most):
        size = int(generator.choice(sizes, p=by_size / by_size.sum()))
        chosen = generator.permutation(n_units)
        pair = [tuple(sorted(part.tolist())) for part in (chosen[:size], chosen[size:])]
        if len(drawn) + sum(subset not in drawn for subset in pair) > most:
            break
        drawn.update(pair)
    return drawn


def fitted_values(
    n_units: int, subsets: Sequence[Subset], weights: FloatArray, gains: FloatArray, total: float
) -> FloatArray:
    """Return the values that explain the gains best, [unit], and add up to `total` exactly.

    Parameters
    ----------
    n_units
        The number of units.
    subsets, weights
        What was scored, and with which weight.
    gains
        What each subset is worth more than none, [subset].
    total
        What all units are worth more than none.
    """
    kept = np.zeros((len(subsets), n_units))
    for row, subset in zip(kept, subsets, strict=True):
        row[list(subset)] = 1
    # The last unit's value is the total less the others', put into the equations in its place.
    design, target = kept[:, :-1] - kept[:, -1:], gains - kept[:, -1] * total
    root = np.sqrt(weights)
    values = np.linalg.lstsq(design * root[:, None], target * root, rcond=None)[0]
    return np.append(values, total - values.sum())
