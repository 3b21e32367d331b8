"""The finished cells of a run, on disk: the run can be killed at any moment and continued by the same call.

``folder/run.json`` records which run it is. ``folder/cells/`` holds the records of finished cells, of the
log-probabilities of the unpruned chains and of drawn wrong answers (`tokimp.storage.record_log`). Their keys say what
they are (`tokimp.compare.cell_keys`), so a run that gains chains or estimators goes on in its folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from tokimp.compare import cell_records
from tokimp.compare.cell import Cell, UnprunedLogprobs
from tokimp.compare.cell_keys import GROWING, CellKeys
from tokimp.compare.earlier_cells import earlier_cells, earlier_files
from tokimp.storage.json_file import read_json
from tokimp.storage.record_log import RecordLog
from tokimp.storage.run_folder import RunFolder

CELLS = "cells"


class Journal(RunFolder):
    """The finished cells of one run; a context manager that holds the folder's lock.

    A run may gain chains and estimators: all that the folder's run had must still be there, in any order. What is
    stored of them is kept.

    Parameters
    ----------
    folder
        The folder of the run; made on entering if it is missing.
    identity
        Everything that changes the result, as JSON can hold it: among others the lists ``chains`` and ``estimators``,
        and ``chains_at_once`` if it is not 1.

    Raises
    ------
    ResumeError
        On entering, as `tokimp.storage.run_folder.RunFolder` does.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        super().__init__(folder, identity, work=CELLS, growing=GROWING)
        self._keys = CellKeys(identity)
        self._records = RecordLog(folder / CELLS, writes=False)

    def _make_folders(self) -> None:
        (self.folder / CELLS).mkdir(parents=True, exist_ok=True)

    def _start_or_continue(self) -> None:
        super()._start_or_continue()
        self._records = RecordLog(self.folder / CELLS)
        self._take_over_earlier_files()
        self._record_growth()

    def _store(self, key: str, content: bytes, threads: int | None) -> None:
        self.note_threads(threads or torch.get_num_threads())
        self._records.append([(key, content)])

    def cell(self, chain: int, estimator: int) -> Cell | None:
        """Return the stored cell, or None if it is missing or damaged.

        Parameters
        ----------
        chain, estimator
            The indices of the chain and of the estimator within the run.
        """
        return cell_records.cell(self._records.get(self._keys.cell(chain, estimator)))

    def store_cell(self, chain: int, estimator: int, cell: Cell, threads: int | None = None) -> None:
        """Store a cell; once this returns, it survives a kill.

        Parameters
        ----------
        chain, estimator
            The indices of the chain and of the estimator within the run.
        cell
            What was computed.
        threads
            The number of threads that it was computed with; by default that of torch in this process.
        """
        self._store(self._keys.cell(chain, estimator), cell_records.cell_bytes(cell), threads)

    def failure(self, chain: int, estimator: int) -> dict[str, Any] | None:
        """Return what was recorded of a cell that failed, or None if nothing was."""
        return cell_records.failure(self._records.get(self._keys.failure(chain, estimator)))

    def store_failure(self, chain: int, estimator: int, failure: Mapping[str, Any]) -> None:
        """Record that a cell failed, as JSON can hold it; a cell stored later counts all the same."""
        self._records.append([(self._keys.failure(chain, estimator), cell_records.failure_bytes(failure))])

    def unpruned(self, chain: int) -> UnprunedLogprobs | None:
        """Return the stored log-probabilities of the chain with this index, or None if they are missing or damaged."""
        return cell_records.unpruned(self._records.get(self._keys.unpruned(chain)))

    def store_unpruned(self, chain: int, unpruned: UnprunedLogprobs, threads: int | None = None) -> None:
        """Store the log-probabilities of the chain with this index; once this returns, they survive a kill."""
        self._store(self._keys.unpruned(chain), cell_records.unpruned_bytes(unpruned), threads)

    def wrong_answer(self, chain: int) -> str | None:
        """Return the wrong answer drawn for the chain with this index, or None if it is missing or damaged."""
        return cell_records.text(self._records.get(self._keys.wrong_answer(chain)))

    def store_wrong_answer(self, chain: int, text: str, threads: int | None = None) -> None:
        """Store the wrong answer drawn for the chain with this index; once this returns, it survives a kill."""
        self._store(self._keys.wrong_answer(chain), cell_records.text_bytes(text), threads)

    def _take_over_earlier_files(self) -> None:
        """Move the cells of a tokimp that kept one file for each into the records."""
        files = earlier_files(self.folder / CELLS)
        # Their names are indices in the lists of the run that the folder recorded.
        records = earlier_cells(files, self.run, CellKeys(self._earlier))
        # Before the kill that may have interrupted this, some were taken over already.
        missing = [(key, content) for key, content in records if key not in self._records]
        if missing:
            self._records.append(missing)
        for path in files:
            path.unlink()


def finished_cells(folder: Path) -> tuple[int, int] | None:
    """Return how many cells of the run in a folder are finished, and how many it has; ``None`` if it holds no run.

    The folder is only read, so another process may be at work in it.
    """
    try:
        identity = read_json(folder / "run.json")["run"]
        keys = CellKeys(identity).cells
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        # Not the folder of a comparison, or a damaged one: nobody knows how many cells it was to have.
        return None
    records = RecordLog(folder / CELLS, writes=False)
    files = [path for path in earlier_files(folder / CELLS) if path.stem[-3:].isdigit()]
    return sum(key in records for key in keys) + len(files), len(keys)
