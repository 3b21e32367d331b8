"""``tokimp merge``: parts of a run become the run, and what does not fit together is one line that says why."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import tokimp as ti
from tests.cli.conftest import Run

METHODS = ("--estimator", "leave_one_out", "--estimator", "position")
_TIMES = {"seconds", "full_seconds"}


def numbers(result: xr.DataTree) -> dict[str, object]:
    """Return everything in a result and its analyses but times, as plain values."""
    return {
        f"{node.path}/{name}": variable.to_numpy().tolist()
        if variable.dtype.kind == "O"
        else variable.to_numpy().tobytes()
        for node in result.subtree
        for name, variable in node.to_dataset(inherit=False).variables.items()
        if name not in _TIMES
    }


@pytest.mark.slow
def test_merged_shards_are_the_run(tokimp: Run, chains_file: Path, tmp_path: Path) -> None:
    """Shards, merged in any order, give the numbers of the whole run, and its command finds all cells done there."""
    command = ["compare", chains_file, *METHODS]
    assert tokimp(*command, "--out", "whole").status == 0
    for number in (1, 2):
        done = tokimp(*command, "--shard", f"{number}/2", "--out", f"part{number}")
        assert done.status == 0, done.err
    merged = tokimp("merge", "part2", "part1", "--out", "merged")
    assert merged.status == 0, merged.err
    assert "merged: 2 runs, 3 chains, 2 methods\nresult: merged/results.nc" in merged.out
    whole, joined = (ti.load(tmp_path / name / "results.nc") for name in ("whole", "merged"))
    assert numbers(joined) == numbers(whole)
    assert {name: value for name, value in joined.attrs.items() if name != "created"} == {
        name: value for name, value in whole.attrs.items() if name != "created"
    }
    again = tokimp(*command, "--out", "merged")
    assert "comparing: 6 of 6 were done already" in again.err, again.err
    assert ti.load(tmp_path / "merged" / "results.nc").identical(joined)


@pytest.mark.slow
def test_runs_of_other_methods_are_merged(tokimp: Run, chains_file: Path, tmp_path: Path) -> None:
    """Methods of one run and of another, on other chains in part, become one result; what is missing is counted."""
    assert tokimp("compare", chains_file, "--estimator", "position", "--out", "a").status == 0
    assert tokimp("analyze", "a", "faithfulness:n_uniform=1").status == 0
    run = ("compare", chains_file, "--limit", "2", "--estimator", "leave_one_out", "--out", "b")
    assert tokimp(*run).status == 0
    merged = tokimp("merge", "a", "b/results.nc", "--out", "merged.nc")
    assert merged.status == 0, merged.err
    assert "3 chains, 2 methods; 1 of their cells are missing" in merged.out
    assert "left out of a: /analysis/faithfulness,n_uniform=1; run it on the merged" in merged.err
    result = ti.load(tmp_path / "merged.nc")
    assert result["estimator"].to_numpy().tolist() == ["position", "leave_one_out"]
    assert np.isnan(result["importance"].to_numpy()[1, result["chain_index"].to_numpy() == 2]).all()
    noted = tokimp("merge", "a", "b/results.nc", "--out", "merged")
    assert "note: the merged run cannot be continued, only its result is written: b/results.nc" in noted.err
    assert not (tmp_path / "merged" / "run.json").exists()


def test_what_cannot_be_merged_is_one_line(tokimp: Run, chains_file: Path, tmp_path: Path) -> None:
    """Another objective, an unfinished run, a folder that is there: each its line, and nothing is written."""
    one = ("compare", chains_file, "--estimator", "position")
    assert tokimp(*one, "--out", "a").status == 0
    assert tokimp(*one, "--objective", "answer", "--out", "b").status == 0
    for arguments, said in (
        (("a", "b", "--out", "c"), "tokimp: a and b: the results differ in 'objective' ('joint' and 'answer')"),
        (("a", "--out", "b"), "b is there already"),
        (("a", "--out", "no/such/folder"), "there is no folder no/such"),
    ):
        refused = tokimp("merge", *arguments)
        assert (refused.status, refused.err.count("\n")) == (1, 1), refused.err
        assert said in refused.err
    assert not (tmp_path / "c").exists()
    content = json.loads((tmp_path / "a" / "run.json").read_text())
    content["run"]["estimators"].append({"label": "new"})
    (tmp_path / "a" / "run.json").write_text(json.dumps(content))
    refused = tokimp("merge", "a", "--out", "c")
    assert "a/results.nc is of 3 cells, and its run has 6 by now; repeat its command" in refused.err


def test_the_two_runs_that_do_not_fit_are_named(tokimp: Run, chains_file: Path) -> None:
    """Of several runs, the message names the two that cannot be joined, and not the first that was given."""
    for name, seed in (("a", "0"), ("b", "0"), ("c", "1")):
        done = tokimp("compare", chains_file, "--estimator", "position", "--seed", seed, "--out", name)
        assert done.status == 0, done.err
    refused = tokimp("merge", "b", "a", "c", "--out", "all")
    assert "tokimp: b and c: the results differ in 'seed'" in refused.err


def test_a_missing_shard_is_said(tokimp: Run, chains_file: Path) -> None:
    """Shards without one of them are merged with a warning, and can be merged with it later."""
    for number in (1, 3):
        done = tokimp("compare", chains_file, *METHODS, "--shard", f"{number}/3", "--out", f"part{number}")
        assert done.status == 0, done.err
    merged = tokimp("merge", "part1", "part3", "--out", "merged")
    assert "warning: shard 2/3 is not among the runs" in merged.err


@pytest.mark.parametrize("wrong", ["0/2", "3/2", "2"])
def test_a_shard_that_there_is_not_is_wrong_usage(tokimp: Run, chains_file: Path, wrong: str) -> None:
    """A shard out of range is refused before anything is read."""
    refused = tokimp("compare", chains_file, "--shard", wrong)
    assert refused.status == 2
    assert "shard" in refused.err
