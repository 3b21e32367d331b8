"""What `Resample` measured of each unit of a chain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tokimp.chains.arrays import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class UnitValues:
    """What `Resample` measured of each unit; NaN where a unit has no value, because too few continuations tell.

    Attributes
    ----------
    value
        The quantity of `kind` and `measure`, [unit].
    null_mean, null_q95, p
        Its permutation null: the mean, the 95 % point of its size, and the p-value, [unit].
    is_discovery
        Whether it differs from noise, at a false discovery rate of 5 % over the units that have a value
        (Benjamini and Hochberg), [unit].
    compared
        The sizes of the two groups of continuations that are compared, [unit, 2].
    different
        The share of continuations whose first unit is not similar to the chain's own, [unit]; NaN for the resampling
        kind, which does not look.
    repeated
        One minus the share of different texts among the first units that were written, [unit]; NaN as above.
    split_half
        The mean size of the quantity between two random halves of the continuations before the unit, [unit]: noise
        alone, of half as many continuations; NaN if a half has fewer than `least`.
    unanswered
        The share of all continuations that end without an answer.
    """

    value: FloatArray
    null_mean: FloatArray
    null_q95: FloatArray
    p: FloatArray
    is_discovery: npt.NDArray[np.bool_]
    compared: IntArray
    different: FloatArray
    repeated: FloatArray
    split_half: FloatArray
    unanswered: float
