"""The array types that all rooms share."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating[Any]]
"""An array of real numbers, of any precision."""
IntArray = npt.NDArray[np.integer[Any]]
"""An array of whole numbers."""
