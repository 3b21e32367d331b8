"""The largest and the smallest area over the perturbation curve that any order of a chain's units has.

Everything here is about *removal sets*: which units have been taken away, as a whole number whose bits are the units.
An order passes through one removal set of each size. Its area is the mean drop over them, so the best continuation of
an order depends on its removal set alone, not on how it got there. Both functions rest on that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tokimp.chains.arrays import FloatArray

Drops = Callable[[Sequence[int]], FloatArray]
"""Returns how much the measure drops when the units of each removal set are taken away, [removal set]."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The areas of the best and of the worst order, in the measure's unit."""

    lower: float
    upper: float

    @property
    def width(self) -> float:
        """The upper limit minus the lower one."""
        return self.upper - self.lower


def exact_limits(n_units: int, drops: Drops) -> Limits:
    """Return the limits over all orders, by dynamic programming over all removal sets.

    ``best(R) = drop(R) + max over u in R of best(R without u)``, with ``best`` of nothing 0. The upper limit is
    ``best`` of all units divided by their number. For the lower one, the minimum stands in place of the maximum. It
    takes the drop of each of 2 to the power of `n_units` sets.

    Parameters
    ----------
    n_units
        Number of the chain's units, at least 1.
    drops
        See `Drops`; asked once.
    """
    everything = 1 << n_units
    drop = drops(range(everything))
    best, worst = np.zeros(everything), np.zeros(everything)
    sizes = np.array([removed.bit_count() for removed in range(everything)])
    bits = 1 << np.arange(n_units)
    for size in range(1, n_units + 1):
        sets = np.flatnonzero(sizes == size)
        holds = (sets[:, None] & bits) != 0
        before = sets[:, None] & ~bits
        best[sets] = drop[sets] + np.where(holds, best[before], -np.inf).max(axis=1)
        worst[sets] = drop[sets] + np.where(holds, worst[before], np.inf).min(axis=1)
    return Limits(float(worst[-1] / n_units), float(best[-1] / n_units))


def beam_limits(n_units: int, drops: Drops, beam: int) -> Limits:
    """Return limits that a beam search finds: the upper one is at most the true one, the lower one at least.

    It keeps the `beam` removal sets of each size with the largest (for the lower limit, the smallest) sum of drops, and
    extends each by every unit that is left. Orders that lead to the same set are merged, and the better sum is kept.
    Merging loses nothing, so the limits are exact once the beam holds all sets of a size. It takes the drops of at most
    ``beam * n_units * (n_units + 1)`` sets.

    Parameters
    ----------
    n_units
        Number of the chain's units, at least 1.
    drops
        See `Drops`; asked once for each size.
    beam
        How many removal sets of each size are kept, in each direction.
    """
    sums: dict[int, dict[int, float]] = {sign: {0: 0.0} for sign in (1, -1)}
    for _ in range(n_units):
        reached = {sign: _extended(kept, n_units, sign) for sign, kept in sums.items()}
        asked = sorted(reached[1].keys() | reached[-1].keys())
        drop = dict(zip(asked, drops(asked).tolist(), strict=True))
        for sign, before in reached.items():
            totals = {removed: value + drop[removed] for removed, value in before.items()}
            kept = sorted(totals, key=lambda removed: (-sign * totals[removed], removed))[:beam]
            sums[sign] = {removed: totals[removed] for removed in kept}
    everything = (1 << n_units) - 1
    return Limits(sums[-1][everything] / n_units, sums[1][everything] / n_units)


def _extended(sums: dict[int, float], n_units: int, sign: int) -> dict[int, float]:
    """Return the sets with one more unit than those given, each with the best sum of the sets it was made of."""
    reached: dict[int, float] = {}
    for removed, value in sums.items():
        for unit in range(n_units):
            larger = removed | 1 << unit
            if larger != removed and (larger not in reached or sign * value > sign * reached[larger]):
                reached[larger] = value
    return reached
