"""Numbers of a result as JSON: short, and with null where a result has NaN."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

_DIGITS = 5


def plain_number(value: float) -> float | int | None:
    """Return a number with five significant digits; ``None`` for NaN and infinities, which JSON does not know.

    Examples
    --------
    >>> plain_number(0.123456789), plain_number(float("nan")), plain_number(3.0)
    (0.12346, None, 3)
    """
    if not np.isfinite(value):
        return None
    short = float(f"{value:.{_DIGITS}g}")
    return int(short) if short.is_integer() else short


def plain_numbers(values: npt.ArrayLike) -> Any:
    """Return an array as nested lists of `plain_number`."""
    array = np.asarray(values)
    if array.ndim == 0:
        return plain_number(float(array))
    return (
        [plain_numbers(part) for part in array] if array.ndim > 1 else [plain_number(value) for value in array.tolist()]
    )
