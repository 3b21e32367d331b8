"""Saving into a file that holds a result: nothing that somebody added is lost, or it is said."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from tokimp.errors import ResumeError
from tokimp.results.io import load, save
from tokimp.results.merging import add_analysis, same_numbers, save_again
from tokimp.testing.toy_result import toy_result

SCORES = {"a": [[1.0, 2.0, 5.0]], "b": [[2.0, 1.0, 5.0]]}


def with_node(result: xr.DataTree, name: str, value: float = 1.0) -> xr.DataTree:
    """Return a copy of a result with one more analysis."""
    tree = result.copy()
    tree[f"analysis/{name}"] = xr.DataTree(xr.Dataset({"mean": ("estimator", [value, value])}))
    return tree


def recomputed(result: xr.DataTree) -> xr.DataTree:
    """Return a result whose cells took another time."""
    return xr.DataTree(
        result.to_dataset().assign(seconds=result["seconds"] + 1).assign_attrs(created="2099-01-01T00:00:00")
    )


ADD = """
import sys
from pathlib import Path
import xarray as xr
from tokimp.results.io import load
from tokimp.results.merging import add_analysis
path, name = Path(sys.argv[1]), sys.argv[2]
result = load(path)
print("loaded", flush=True)
sys.stdin.readline()
result[f"analysis/{name}"] = xr.DataTree(xr.Dataset({"mean": ("estimator", [1.0, 2.0])}))
add_analysis(result, name, path)
"""


def test_two_processes_lose_nothing(tmp_path: Path) -> None:
    """Three processes load one result, compute, and save at the same time: all three analyses are there."""
    path = tmp_path / "results.nc"
    save(toy_result(SCORES), path)
    command = [sys.executable, "-c", ADD, str(path)]
    workers = [
        subprocess.Popen([*command, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for name in ("one", "two", "three")
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "loaded\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("\n")
        worker.stdin.flush()
    for worker in workers:
        worker.communicate()
        assert worker.returncode == 0
    assert set(load(path)["analysis"].children) == {"one", "two", "three"}


def test_threads_lose_nothing(tmp_path: Path) -> None:
    """The same holds for threads of one process."""
    path = tmp_path / "results.nc"
    result = toy_result(SCORES)
    save(result, path)
    names = [f"node_{index}" for index in range(4)]
    threads = [threading.Thread(target=add_analysis, args=(with_node(result, name), name, path)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(load(path)["analysis"].children) == set(names)


def test_an_analysis_of_other_numbers_is_not_added(tmp_path: Path) -> None:
    """If the file was replaced by other numbers meanwhile, it stays as it is, and the message says what to do."""
    path = tmp_path / "results.nc"
    save(toy_result({**SCORES, "b": [[9.0, 1.0, 5.0]]}), path)
    before = path.read_bytes()
    with pytest.raises(ResumeError, match=r"other numbers than those that were analyzed.*to another file \(--out\)"):
        add_analysis(with_node(toy_result(SCORES), "one"), "one", path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("suffix", ["nc", "zarr"])
def test_what_was_added_stays(tmp_path: Path, suffix: str) -> None:
    """Saved again with cells that were computed anew, a result keeps analyses, and what a user added to it."""
    path = tmp_path / f"results.{suffix}"
    result = with_node(toy_result(SCORES), "one")
    result["mine"] = xr.DataArray(np.array([7.0]), dims="chain")
    result["notes/mine"] = xr.DataTree(xr.Dataset({"x": 3}))
    result.attrs["note"] = "mine"
    save(result, path)
    new = recomputed(toy_result(SCORES))
    assert same_numbers(new, result)
    assert save_again(new, path) == []
    stored = load(path)
    assert stored["analysis/one"].to_dataset().identical(result["analysis/one"].to_dataset())
    assert stored["mine"].to_numpy().tolist() == [7.0]
    assert int(stored["notes/mine/x"]) == 3
    assert (stored.attrs["note"], stored.attrs["created"]) == ("mine", "2099-01-01T00:00:00")
    assert stored.to_dataset()["seconds"].identical(new.to_dataset()["seconds"])


def test_what_is_about_other_numbers_is_named(tmp_path: Path) -> None:
    """Analyses of other numbers are dropped and said; a user's variables stay while the chains are the same."""
    path = tmp_path / "results.nc"
    result = with_node(toy_result(SCORES), "one")
    result["mine"] = xr.DataArray(np.array([7.0]), dims="chain")
    save(result, path)
    assert save_again(toy_result({**SCORES, "b": [[9.0, 1.0, 5.0]]}), path) == ["/analysis/one"]
    assert load(path)["mine"].to_numpy().tolist() == [7.0]
    assert save_again(toy_result({"c": [[1.0, 2.0]]}), path) == ["variable 'mine'"]
    assert load(path).groups == ("/",)


def test_a_damaged_file_is_replaced_and_said(tmp_path: Path) -> None:
    """A result that cannot be read is made again; what it held is said to be gone."""
    path = tmp_path / "results.nc"
    path.write_bytes(b"damaged")
    (dropped,) = save_again(toy_result(SCORES), path)
    assert "which is damaged" in dropped
    assert same_numbers(load(path), toy_result(SCORES))
