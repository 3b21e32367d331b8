"""Cells that failed in a run that goes on without them: what is recorded of each, and what stands in its place."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tokimp.chains.chain import TokenizedChain
from tokimp.compare.cell import Cell
from tokimp.compare.journal import Journal
from tokimp.contracts.estimator import Importance
from tokimp.contracts.executor import Failure
from tokimp.storage.atomic import replacing
from tokimp.storage.digests import json_digest
from tokimp.storage.write_errors import naming_what_is_written

FOLDER = "failures"
"""The folder, within that of a run, of the tracebacks of cells that failed."""


UNPRUNED = "(unpruned)"
"""What stands in the place of an estimator's label where a chain could not be read as it is."""


def failed_cell(chain: TokenizedChain, failure: Failure) -> Cell:
    """Return what stands in the place of a cell that failed: NaN for every unit, and the reason."""
    nothing = Importance(np.full(len(chain.units), np.nan))
    return Cell(nothing, seconds=float("nan"), tokens_forwarded=-1, failure=reason(failure))


def reason(failure: Failure) -> str:
    """Return in one line what a failure is: the type of what was raised first, and the message of what it became."""
    text = " ".join(f"{failure.type}: {failure.error}".split())
    # What a result file cannot hold.
    return text.encode(errors="backslashreplace").decode().replace("\0", "\\0")


def record_failure(journal: Journal, chain: int, estimator: int, failure: Failure, *, cell: tuple[str, str]) -> None:
    """Record in the folder of a run that a cell failed: type, message, and the traceback in a file of its own.

    Parameters
    ----------
    journal
        The journal of the run.
    chain, estimator
        The indices of the cell.
    failure
        What happened.
    cell
        The chain's id and the estimator's label.
    """
    place = record_traceback(journal, failure, cell=cell)
    chain_id, label = cell
    journal.store_failure(
        chain,
        estimator,
        {
            "chain": chain_id,
            "estimator": label,
            "type": failure.type,
            "message": str(failure.error),
            "traceback": str(place.relative_to(journal.folder)),
        },
    )


def record_traceback(journal: Journal, failure: Failure, *, cell: tuple[str, str]) -> Path:
    """Write the traceback of what failed into a file of its own in the folder of a run, and return the file."""
    place = _traceback_file(journal, *cell)
    with naming_what_is_written(place.parent):
        place.parent.mkdir(exist_ok=True)
    chain_id, label = cell
    text = f"chain {chain_id!r}, estimator {label!r}\n\n{failure.traceback or failure.error}\n"
    with replacing(place) as partial:
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")
    return place


def forget_failure(journal: Journal, *, cell: tuple[str, str]) -> None:
    """Remove the traceback of a cell that was computed after all."""
    _traceback_file(journal, *cell).unlink(missing_ok=True)


def _traceback_file(journal: Journal, chain_id: str, label: str) -> Path:
    # Ids and labels may hold any character.
    return journal.folder / FOLDER / f"{json_digest([chain_id, label])[:16]}.txt"
