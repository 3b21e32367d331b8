"""Effects of a cell as arrays to be stored, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tokimp.chains.arrays import FloatArray
from tokimp.contracts.estimator import Importance


def effect_arrays(importance: Importance) -> dict[str, npt.NDArray[Any]]:
    """Return the effects of an importance as arrays by name: the half of the matrix that is not 0, row by row."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    if importance.effects is not None:
        arrays["effects"] = importance.effects[np.triu_indices(len(importance.scores), k=1)]
    if importance.effects_on_answer is not None:
        arrays["effects_on_answer"] = importance.effects_on_answer
    return arrays


def stored_effects(arrays: Mapping[str, npt.NDArray[Any]], n_units: int) -> tuple[FloatArray | None, FloatArray | None]:
    """Return the effects between units, [unit, unit], and on the answer, [unit]; ``None`` where there are none.

    Raises
    ------
    ValueError
        If the arrays are not those of a chain of `n_units` units.
    """
    between, on_answer = None, arrays.get("effects_on_answer")
    if "effects" in arrays:
        between = np.zeros((n_units, n_units), dtype=np.float32)
        rows, columns = np.triu_indices(n_units, k=1)
        if arrays["effects"].shape != rows.shape:
            raise ValueError(f"effects of shape {arrays['effects'].shape} are not those of {n_units} units")
        between[rows, columns] = arrays["effects"]
    if on_answer is not None and on_answer.shape != (n_units,):
        raise ValueError(f"effects on the answer of shape {on_answer.shape} are not those of {n_units} units")
    return between, on_answer
