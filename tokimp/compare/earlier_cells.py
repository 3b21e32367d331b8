"""The cells of a tokimp up to 0.2.0, which kept one ``.npz`` file for each, named by indices: read, to be kept anew."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tokimp.compare.cell_keys import CellKeys
from tokimp.compare.cell_records import from_arrays

# The unpruned chain was once called the baseline.
_NAME = re.compile(r"(?P<chain>\d{6,})-(?P<what>\d{3,}|baseline|wrong-answer)")
# The errors that numpy and zipfile raise on files that are cut short, overwritten or of another kind.
_UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    IndexError,
    NotImplementedError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


def earlier_files(cells: Path) -> list[Path]:
    """Return the files of cells, one a cell, that an earlier tokimp left in the folder of a run's cells."""
    return sorted(path for path in cells.glob("*.npz") if _NAME.fullmatch(path.stem))


def earlier_cells(files: Sequence[Path], run: str, keys: CellKeys) -> Iterator[tuple[str, bytes]]:
    """Yield the keys and contents of what an earlier tokimp stored; files that are damaged or foreign are left out.

    Parameters
    ----------
    files
        The files (`earlier_files`).
    run
        The digest that the files of this run carry.
    keys
        The keys of that run. The files are named by indices in its lists of chains and estimators.
    """
    for path in files:
        chain, what = _NAME.fullmatch(path.stem).groups()  # type: ignore[union-attr] # earlier_files saw to it
        try:
            # Reading an entry of the archive to its end checks its checksum.
            with np.load(path, allow_pickle=False) as archive:
                arrays: dict[str, npt.NDArray[Any]] = {key: archive[key] for key in archive.files}
            # A file copied from another run, or from another place in this one, is no better than a damaged one.
            if [arrays.pop(key).item() for key in ("run", "name")] == [run, path.stem]:
                yield _key(keys, int(chain), what), from_arrays(arrays)
        except _UNREADABLE:
            continue


def _key(keys: CellKeys, chain: int, what: str) -> str:
    if what == "baseline":
        return keys.unpruned(chain)
    return keys.wrong_answer(chain) if what == "wrong-answer" else keys.cell(chain, int(what))
