"""What is said of a run that has no result yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.storage.lost_records import lose_last_record
from tokimp.cli.finished_run import result_file
from tokimp.errors import SchemaError

COMPARE = ("--out", "run", "--estimator", "leave_one_out", "--estimator", "position")


@pytest.fixture
def unfinished(tokimp: Run, chains_file: Path, tmp_path: Path) -> Path:
    """Return the folder of a run that was killed with five of its six cells done."""
    assert tokimp("compare", chains_file, *COMPARE).status == 0
    folder = tmp_path / "run"
    (folder / "results.nc").unlink()
    lose_last_record(folder / "cells")
    return folder


@pytest.mark.parametrize("command", [("analyze", "run", "agreement"), ("prune", "--run", "run", "--out", "x.jsonl")])
def test_an_unfinished_run_says_how_far_it_is(
    tokimp: Run, unfinished: Path, chains_file: Path, command: tuple[str, ...]
) -> None:
    """Commands that read a result say how many cells there are and how to go on, and the run can be gone on with."""
    done = tokimp(*command)
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert "run: this run is not finished (5 of 6 cells); repeat its command to go on" in done.err
    assert tokimp("compare", chains_file, *COMPARE).status == 0
    assert result_file(unfinished) == unfinished / "results.nc"


def test_cells_without_a_result_and_folders_of_something_else_are_told_apart(
    tokimp: Run, chains_file: Path, tmp_path: Path
) -> None:
    """Pruning keeps all its cells and no result, which is no unfinished comparison; nor is a folder without cells."""
    assert tokimp("prune", chains_file, "--estimator", "position", "--out", "short.jsonl").status == 0
    with pytest.raises(SchemaError, match=r"short\.jsonl\.run has all 3 cells of its run and no result"):
        result_file(tmp_path / "short.jsonl.run")
    (tmp_path / "short.jsonl.run" / "run.json").write_text("{")
    for folder in (tmp_path / "short.jsonl.run", tmp_path):
        with pytest.raises(SchemaError, match="holds no result"):
            result_file(folder)


def test_a_run_kept_as_zarr_is_found(tmp_path: Path) -> None:
    """The result may be a Zarr folder, and may be named itself."""
    (tmp_path / "results.zarr").mkdir()
    assert result_file(tmp_path) == tmp_path / "results.zarr"
    assert result_file(tmp_path / "results.zarr") == tmp_path / "results.zarr"


@pytest.mark.parametrize("name", ["x.zarr", "x.nc"])
def test_a_run_folder_named_like_a_result_is_a_run(tokimp: Run, chains_file: Path, tmp_path: Path, name: str) -> None:
    """0.1.0 let a run's folder be called x.zarr: its result is the one in it, for every command that takes a run."""
    assert tokimp("compare", chains_file, *COMPARE).status == 0
    (tmp_path / "run").rename(tmp_path / name)
    done = tokimp("analyze", name, "agreement:top_k=3")
    assert done.status == 0, done.err
    assert f"result: {name}/results.nc" in done.out
    pruned = tokimp("prune", "--run", name, "--estimator", "position", "--out", "short.jsonl")
    assert pruned.status == 0, pruned.err
