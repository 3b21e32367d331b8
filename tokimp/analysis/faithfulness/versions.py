"""The versions of a chain that have to be scored, each once, and the tables that their numbers fill."""

from __future__ import annotations

from typing import Any

import numpy as np

from tokimp.analysis.deletion_orders import Units
from tokimp.chains.arrays import FloatArray, IntArray

_NO_VERSION = -1


class VersionTables:
    """Tables of versions of one chain, in which a version that occurs several times is scored once.

    Attributes
    ----------
    versions
        The versions, each given by the units it keeps, in the order in which they are to be scored.
    """

    def __init__(self) -> None:
        self.versions: dict[Units, int] = {}
        self._tables: dict[str, IntArray] = {}

    def add(self, name: str, table: Any) -> None:
        """Add a table: nested lists of versions, each the units that it keeps, or ``None`` where there is none."""
        self._tables[name] = np.array(self._indices(table), dtype=np.int64)

    def _indices(self, table: Any) -> Any:
        if isinstance(table, list):
            return [self._indices(entry) for entry in table]
        return _NO_VERSION if table is None else self.versions.setdefault(table, len(self.versions))

    def fill(self, numbers: FloatArray) -> dict[str, FloatArray]:
        """Return the tables, [measure, ...] each, with the numbers of their versions; NaN where there is none.

        Parameters
        ----------
        numbers
            [measure, version], in the order of `versions`.
        """
        # The last column is what `_NO_VERSION` points to.
        padded = np.concatenate([numbers, np.full((len(numbers), 1), np.nan)], axis=1)
        return {name: padded[:, indices] for name, indices in self._tables.items()}
