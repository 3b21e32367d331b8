"""The finished cells of a run, on disk: the run can be killed at any moment and continued by the same call.

``folder/run.json`` records which run it is. ``folder/cells/`` holds one ``.npz`` file for each finished cell, and one
for the log-probabilities of each chain. File names are made of indices, never of ids, which may hold any character.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from tokimp.compare.cell import Cell, UnprunedLogprobs
from tokimp.contracts.estimator import Importance, Trajectory
from tokimp.contracts.scorer import SpanLogprobs
from tokimp.errors import TokimpError
from tokimp.storage.atomic import replacing
from tokimp.storage.run_folder import RunFolder

Arrays = Mapping[str, npt.NDArray[Any]]
Stored = TypeVar("Stored")

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
        return _built(_cell, self._read(_cell_name(chain, estimator)))

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
        return _built(_unpruned, self._read(_unpruned_name(chain)))

    def store_unpruned(self, chain: int, unpruned: UnprunedLogprobs) -> None:
        """Store the log-probabilities of the chain with this index; once this returns, they survive a kill."""
        logprobs = unpruned.logprobs
        self._write(
            _unpruned_name(chain),
            {"reasoning": logprobs.reasoning, "answer": logprobs.answer, **_cost(unpruned)},
        )

    def wrong_answer(self, chain: int) -> str | None:
        """Return the wrong answer drawn for the chain with this index, or None if it is missing or damaged."""
        arrays = self._read(_wrong_answer_name(chain))
        return None if arrays is None else str(arrays["text"].item())

    def store_wrong_answer(self, chain: int, text: str) -> None:
        """Store the wrong answer drawn for the chain with this index; once this returns, it survives a kill."""
        self._write(_wrong_answer_name(chain), {"text": np.array(text)})

    def _read(self, name: str) -> Arrays | None:
        try:
            # Reading an entry of the archive to its end checks its checksum.
            with np.load(self._cells / f"{name}.npz", allow_pickle=False) as archive:
                arrays = {key: archive[key] for key in archive.files}
        except _UNREADABLE:
            return None
        # A file copied from another run, or from another place in this one, is no better than a damaged one.
        belongs_here = [arrays.get(key, np.array("")).tolist() for key in ("run", "name")] == [self.run, name]
        return arrays if belongs_here else None

    def _write(self, name: str, arrays: Arrays) -> None:
        with replacing(self._cells / f"{name}.npz") as partial, partial.open("wb") as stream:
            np.savez(stream, allow_pickle=False, run=np.array(self.run), name=np.array(name), **arrays)


def _built(build: Callable[[Arrays], Stored], arrays: Arrays | None) -> Stored | None:
    """Return what arrays hold; ``None`` if there are none, or they are not all there or not of their kind."""
    if arrays is None:
        return None
    try:
        return build(arrays)
    # A contract's own errors too: a trajectory whose lengths differ, say.
    except (KeyError, ValueError, TypeError, IndexError, TokimpError):
        return None


def _cell(arrays: Arrays) -> Cell:
    trajectory = None
    if "joint" in arrays:
        joint, answer, reasoning = _vectors(arrays, "joint", "answer", "reasoning")
        trajectory = Trajectory(joint, answer, reasoning)
    names, values = _vectors(arrays, "names", "values")
    (scores, *order) = _vectors(arrays, "scores", *(["order"] if "order" in arrays else []))
    diagnostics = dict(zip(names.tolist(), values.tolist(), strict=True))
    importance = Importance(scores, order[0] if order else None, trajectory, diagnostics)
    return Cell(importance, arrays["seconds"].item(), arrays["tokens_forwarded"].item())


def _unpruned(arrays: Arrays) -> UnprunedLogprobs:
    logprobs = SpanLogprobs(*(_vectors(arrays, name)[0] for name in ("reasoning", "answer")))
    return UnprunedLogprobs(logprobs, arrays["seconds"].item(), arrays["tokens_forwarded"].item())


def _vectors(arrays: Arrays, *names: str) -> list[npt.NDArray[Any]]:
    """Return the arrays of these names; raise `ValueError` unless all are vectors of one length."""
    vectors = [arrays[name] for name in names]
    if any(vector.ndim != 1 or len(vector) != len(vectors[0]) for vector in vectors):
        raise ValueError(f"{', '.join(names)} are not vectors of one length")
    return vectors


def _cell_name(chain: int, estimator: int) -> str:
    return f"{chain:06d}-{estimator:03d}"


def _unpruned_name(chain: int) -> str:
    # The unpruned chain was once called the baseline. The word stays in file names: existing run folders hold them.
    return f"{chain:06d}-baseline"


def _wrong_answer_name(chain: int) -> str:
    return f"{chain:06d}-wrong-answer"


def _cost(measured: Cell | UnprunedLogprobs) -> dict[str, npt.NDArray[Any]]:
    return {"seconds": np.array(measured.seconds), "tokens_forwarded": np.array(measured.tokens_forwarded)}
