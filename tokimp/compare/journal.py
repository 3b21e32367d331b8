"""What a run has finished, on disk: it can be killed at any moment and continued by the same call.

``folder/run.json`` says which run it is; ``folder/cells/`` holds one ``.npz`` a finished cell, a cell being an
estimator's say on one chain, or the chain's own log-probabilities. File names are made of indices, never of ids.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tokimp.compare.assembly import Baseline, Cell
from tokimp.contracts.estimator import Importance, Trajectory
from tokimp.contracts.scorer import SpanLogprobs
from tokimp.storage.atomic import replacing
from tokimp.storage.run_folder import RunFolder

Arrays = Mapping[str, npt.NDArray[Any]]

# What numpy and zipfile raise on files that are cut short, overwritten or not theirs.
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
    """The finished cells of one run; a context that holds the folder's lock.

    Parameters, attributes and errors are those of `tokimp.storage.run_folder.RunFolder`.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        super().__init__(folder, identity, work="cells")
        self._cells = folder / "cells"

    def _make_folders(self) -> None:
        self._cells.mkdir(parents=True, exist_ok=True)

    def baseline(self, chain: int) -> Baseline | None:
        """Return the log-probabilities kept for a chain, or ``None`` where there are none to be trusted."""
        arrays = self._read(f"{chain:06d}-baseline")
        if arrays is None:
            return None
        logprobs = SpanLogprobs(arrays["reasoning"], arrays["answer"])
        return Baseline(logprobs, arrays["seconds"].item(), arrays["tokens_forwarded"].item())

    def keep_baseline(self, chain: int, baseline: Baseline) -> None:
        """Put a chain's log-probabilities on disk, for good."""
        self._write(
            f"{chain:06d}-baseline",
            {"reasoning": baseline.logprobs.reasoning, "answer": baseline.logprobs.answer, **_cost(baseline)},
        )

    def cell(self, chain: int, estimator: int) -> Cell | None:
        """Return what is kept of an estimator's say on a chain, or ``None`` where there is nothing to be trusted."""
        arrays = self._read(f"{chain:06d}-{estimator:03d}")
        if arrays is None:
            return None
        trajectory = None
        if "joint" in arrays:
            trajectory = Trajectory(arrays["joint"], arrays["answer"], arrays["reasoning"])
        diagnostics = dict(zip(arrays["names"].tolist(), arrays["values"].tolist(), strict=True))
        importance = Importance(arrays["scores"], arrays.get("order"), trajectory, diagnostics)
        return Cell(importance, arrays["seconds"].item(), arrays["tokens_forwarded"].item())

    def keep_cell(self, chain: int, estimator: int, cell: Cell) -> None:
        """Put an estimator's say on a chain on disk, for good."""
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
        self._write(f"{chain:06d}-{estimator:03d}", arrays)

    def _read(self, name: str) -> Arrays | None:
        try:
            # Reading an entry to its end checks the archive's checksum of it.
            with np.load(self._cells / f"{name}.npz", allow_pickle=False) as archive:
                arrays = {key: archive[key] for key in archive.files}
        except _UNREADABLE:
            return None
        # A cell copied in from another run, or to another place in this one, is no better than a torn one.
        mine = arrays.get("run", np.array("")).item() == self.run and arrays.get("name", np.array("")).item() == name
        return arrays if mine else None

    def _write(self, name: str, arrays: Arrays) -> None:
        with replacing(self._cells / f"{name}.npz") as partial, partial.open("wb") as stream:
            np.savez(stream, allow_pickle=False, run=np.array(self.run), name=np.array(name), **arrays)


def _cost(measured: Baseline | Cell) -> dict[str, npt.NDArray[Any]]:
    return {"seconds": np.array(measured.seconds), "tokens_forwarded": np.array(measured.tokens_forwarded)}
