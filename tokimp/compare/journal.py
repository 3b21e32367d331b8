"""The finished cells of a run, on disk: the run can be killed at any moment and continued by the same call.

``folder/run.json`` records which run it is. ``folder/cells/`` holds one ``.npz`` file for each finished cell, and one
for the log-probabilities of each chain. File names are made of indices, never of ids, which may hold any character.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tokimp.compare.cell import Cell, UnprunedLogprobs
from tokimp.contracts.estimator import Importance, Trajectory
from tokimp.contracts.scorer import SpanLogprobs
from tokimp.storage.atomic import replacing
from tokimp.storage.run_folder import RunFolder

Arrays = Mapping[str, npt.NDArray[Any]]

# The errors that numpy and zipfile raise on files that are cut short, overwritten or of another kind.
_UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


class Journal(RunFolder):
    """The finished cells of one run; a context manager that holds the folder's lock.

    Parameters
    ----------
    folder
        The folder of the run; made on entering if it is missing.
    identity
        Everything that changes the result, as JSON can hold it.

    Raises
    ------
    ResumeError
        On entering, as `tokimp.storage.run_folder.RunFolder` does.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        super().__init__(folder, identity, work="cells")
        self._cells = folder / "cells"

    def _make_folders(self) -> None:
        self._cells.mkdir(parents=True, exist_ok=True)

    def cell(self, chain: int, estimator: int) -> Cell | None:
        """Return the stored cell, or None if it is missing or damaged.

        Parameters
        ----------
        chain, estimator
            The indices of the chain and of the estimator within the run.
        """
        arrays = self._read(_cell_name(chain, estimator))
        if arrays is None:
            return None
        trajectory = None
        if "joint" in arrays:
            trajectory = Trajectory(arrays["joint"], arrays["answer"], arrays["reasoning"])
        diagnostics = dict(zip(arrays["names"].tolist(), arrays["values"].tolist(), strict=True))
        importance = Importance(arrays["scores"], arrays.get("order"), trajectory, diagnostics)
        return Cell(importance, arrays["seconds"].item(), arrays["tokens_forwarded"].item())

    def store_cell(self, chain: int, estimator: int, cell: Cell) -> None:
        """Store a cell; once this returns, it survives a kill.

        Parameters
        ----------
        chain, estimator
            The indices of the chain and of the estimator within the run.
        cell
            What was computed.
        """
        importance = cell.importance
        arrays: dict[str, npt.NDArray[Any]] = {"scores": importance.scores, **_cost(cell)}
        if importance.order is not None:
            arrays["order"] = importance.order
        if importance.trajectory is not None:
            arrays["joint"] = importance.trajectory.joint
            arrays["answer"] = importance.trajectory.answer
            arrays["reasoning"] = importance.trajectory.reasoning
        arrays["names"] = np.array(list(importance.diagnostics), dtype=np.str_)
        arrays["values"] = np.array(list(importance.diagnostics.values()), dtype=np.float64)
        self._write(_cell_name(chain, estimator), arrays)

    def unpruned(self, chain: int) -> UnprunedLogprobs | None:
        """Return the stored log-probabilities of the chain with this index, or None if they are missing or damaged."""
        arrays = self._read(_unpruned_name(chain))
        if arrays is None:
            return None
        logprobs = SpanLogprobs(arrays["reasoning"], arrays["answer"])
        return UnprunedLogprobs(logprobs, arrays["seconds"].item(), arrays["tokens_forwarded"].item())

    def store_unpruned(self, chain: int, unpruned: UnprunedLogprobs) -> None:
        """Store the log-probabilities of the chain with this index; once this returns, they survive a kill."""
        logprobs = unpruned.logprobs
        self._write(
            _unpruned_name(chain),
            {"reasoning": logprobs.reasoning, "answer": logprobs.answer, **_cost(unpruned)},
        )

    def _read(self, name: str) -> Arrays | None:
        try:
            # Reading an entry of the archive to its end checks its checksum.
            with np.load(self._cells / f"{name}.npz", allow_pickle=False) as archive:
                arrays = {key: archive[key] for key in archive.files}
        except _UNREADABLE:
            return None
        # A file copied from another run, or from another place in this one, is no better than a damaged one.
        belongs_here = (
            arrays.get("run", np.array("")).item() == self.run and arrays.get("name", np.array("")).item() == name
        )
        return arrays if belongs_here else None

    def _write(self, name: str, arrays: Arrays) -> None:
        with replacing(self._cells / f"{name}.npz") as partial, partial.open("wb") as stream:
            np.savez(stream, allow_pickle=False, run=np.array(self.run), name=np.array(name), **arrays)


def _cell_name(chain: int, estimator: int) -> str:
    return f"{chain:06d}-{estimator:03d}"


def _unpruned_name(chain: int) -> str:
    # The unpruned chain was once called the baseline. The word stays in file names: existing run folders hold them.
    return f"{chain:06d}-baseline"


def _cost(measured: Cell | UnprunedLogprobs) -> dict[str, npt.NDArray[Any]]:
    return {"seconds": np.array(measured.seconds), "tokens_forwarded": np.array(measured.tokens_forwarded)}
