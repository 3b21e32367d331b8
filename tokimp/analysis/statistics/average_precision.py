"""Average precision of a ranking with ties, and what a random ranking is expected to have."""

from __future__ import annotations

import numpy as np

from tokimp.chains.arrays import FloatArray


def average_precision(scores: FloatArray, is_relevant: FloatArray) -> float:
    """Return the expected average precision of a list of items, the highest score first, ties in random order.

    The average precision of one order is the mean, over the relevant items, of the share of relevant items among all
    items down to this one. The expectation is over all orders of the items that tie, each as probable as any other
    (McSherry and Najork 2008, ECIR: measures in the presence of ties). It is exact. Scores without ties have one
    order, and the usual value.

    Parameters
    ----------
    scores
        [item]
    is_relevant
        1 for a relevant item, 0 for another, [item].

    Returns
    -------
    float
        From above 0 to 1; NaN if no item is relevant.

    Examples
    --------
    >>> average_precision(np.array([4.0, 3.0, 2.0, 1.0]), np.array([1.0, 0.0, 1.0, 0.0]))
    0.8333333333333333
    """
    n_relevant = float(is_relevant.sum())
    if not n_relevant:
        return float("nan")
    _, group = np.unique(-scores, return_inverse=True)
    sizes = np.bincount(group)
    relevant = np.bincount(group, weights=is_relevant)
    items_above, relevant_above = np.cumsum(sizes) - sizes, np.cumsum(relevant) - relevant
    # The place of each item within its group of ties, from 0; the order within the group does not matter.
    member = np.repeat(np.arange(len(sizes)), sizes)
    place = np.arange(len(scores)) - items_above[member]
    # Given that the item at this place is relevant, each of the others of its group is with this probability.
    others = np.where(sizes > 1, (relevant - 1) / np.maximum(sizes - 1, 1), 0)[member]
    precision = (relevant_above[member] + 1 + place * others) / (items_above[member] + place + 1)
    return float((relevant / sizes)[member] @ precision / n_relevant)


def chance_average_precision(n_items: int, n_relevant: int) -> float:
    """Return the average precision that a random order of items has on average.

    It is more than the share of relevant items, above all in short lists: with n items, P of them relevant, and
    H the sum of 1/k for k from 1 to n, it is ``(H + (P - 1) / (n - 1) * (n - H)) / n`` (Bestgen 2015, Prague
    Bulletin of Mathematical Linguistics 103, "Exact expected average precision of the random baseline").

    Parameters
    ----------
    n_items
        Number of items.
    n_relevant
        How many of them are relevant, at least 1.

    Examples
    --------
    >>> round(chance_average_precision(7, 2), 3)
    0.475
    """
    if n_items == 1:
        return 1.0
    harmonic = float((1 / np.arange(1, n_items + 1)).sum())
    return (harmonic + (n_relevant - 1) / (n_items - 1) * (n_items - harmonic)) / n_items
