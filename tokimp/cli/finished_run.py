"""Find the result of a finished run, or say how far the run has come."""

from __future__ import annotations

import re
from pathlib import Path

from tokimp.errors import SchemaError
from tokimp.results.io import SUFFIXES
from tokimp.storage.json_file import read_json

# A cell: one estimator on one chain. Beside the cells lie the log-probabilities of the unpruned chains ("-baseline").
_CELL = re.compile(r"\d{6}-\d{3,}\.npz")


def result_file(run: Path) -> Path:
    """Return the file, or Zarr folder, that holds a run's result.

    Raises
    ------
    SchemaError
        If there is none. If the run is not finished, the message says how far it is.
    """
    # A run's folder may be named like a result: 0.1.0 made such folders (tokimp compare --out x.zarr).
    if run.suffix in SUFFIXES and not (run / "run.json").exists():
        return run
    for suffix in SUFFIXES:
        if (run / f"results{suffix}").exists():
            return run / f"results{suffix}"
    raise SchemaError(
        _unfinished(run)
        or f"{run} holds no result (results.nc or results.zarr); name the folder of a finished 'tokimp compare', or a "
        "result file"
    )


def _unfinished(run: Path) -> str:
    """Return how far the run in a folder has come; empty if the folder holds no cells of a run."""
    cells = run / "cells"
    try:
        identity = read_json(run / "run.json")["run"]
        wanted = len(identity["chains"]) * len(identity["estimators"])
        done = sum(_CELL.fullmatch(path.name) is not None for path in cells.iterdir())
    except (OSError, ValueError, KeyError, TypeError):
        # Not the folder of a comparison, or a damaged one: nobody knows how many cells it was to have.
        return ""
    if done >= wanted:
        return (
            f"{run} has all {wanted} cells of its run and no result; repeat its command to write it (tokimp prune "
            "writes chains instead: name the folder of a tokimp compare)"
        )
    return (
        f"{run}: this run is not finished ({done} of {wanted} cells); repeat its command to go on, or wait where it is "
        "still at work"
    )
