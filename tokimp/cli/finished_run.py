"""Find the result of a finished run, or say how far the run has come."""

from __future__ import annotations

from pathlib import Path

from tokimp.compare.journal import finished_cells
from tokimp.errors import SchemaError
from tokimp.results.io import SUFFIXES


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
    counts = finished_cells(run)
    if counts is None:
        return ""
    done, wanted = counts
    if done >= wanted:
        return (
            f"{run} has all {wanted} cells of its run and no result; repeat its command to write it (tokimp prune "
            "writes chains instead: name the folder of a tokimp compare)"
        )
    return (
        f"{run}: this run is not finished ({done} of {wanted} cells); repeat its command to go on, or wait where it is "
        "still at work"
    )
