"""Files: what is saved comes back exactly, and what cannot be read says why."""

from __future__ import annotations

import errno
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tokimp.analysis.run import analyze
from tokimp.contracts.estimator import Importance, Trajectory
from tokimp.errors import SchemaError, StorageError
from tokimp.results.analysis_nodes import analysis_node
from tokimp.results.io import load, save
from tokimp.testing.toy_result import toy_result
from tokimp.testing.toy_scorer import toy_chain

SUFFIXES = ["nc", "zarr"]
text = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=8)
visible = text.filter(lambda value: bool(value.strip()))


@st.composite
def results(draw: st.DrawFn) -> xr.DataTree:
    """Results of chains with any text and any finite scores, with and without trajectories."""
    ids = draw(st.lists(visible, min_size=1, max_size=3, unique=True))
    chains = [
        toy_chain(draw(visible), question=draw(text), answer=draw(visible), wrong_answer=draw(visible), id=name)
        for name in ids
    ]
    number = st.floats(allow_nan=False, allow_infinity=False)

    def importance(n: int) -> Importance:
        scores = np.array(draw(st.lists(number, min_size=n, max_size=n)))
        if not draw(st.booleans()):
            return Importance(scores)
        likelihood = st.floats(max_value=0, allow_nan=False, allow_infinity=False)
        steps = np.array(draw(st.lists(likelihood, min_size=n, max_size=n)))
        order = np.arange(n)
        return Importance(order.astype(float), order, Trajectory(steps, steps, steps / 2), {"gap": draw(number)})

    labels = draw(st.lists(visible, min_size=1, max_size=2, unique=True))
    return toy_result({label: [importance(len(chain.units)) for chain in chains] for label in labels}, chains)


def exactly_equal(a: xr.DataTree, b: xr.DataTree) -> bool:
    """Whether two trees have the same nodes, names, attributes, types and values, bit for bit."""
    for one, other in zip(a.subtree, b.subtree, strict=True):
        left, right = one.to_dataset().variables, other.to_dataset().variables
        if one.path != other.path or set(left) != set(right):
            return False
        for name in left:
            x, y = left[name].to_numpy(), right[name].to_numpy()
            same = x.tolist() == y.tolist() if x.dtype.kind == "O" else x.tobytes() == y.tobytes()
            if x.dtype != y.dtype or not same:
                return False
    kinds = [{name: type(value) for name, value in tree.attrs.items()} for tree in (a, b)]
    return a.identical(b) and kinds[0] == kinds[1]


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(results())
def test_what_is_saved_comes_back(suffix: str, result: xr.DataTree) -> None:
    """Any text, number, NaN and attribute comes back as it was, in value and type."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"result.{suffix}"
        save(result, path)
        back = load(path)
    assert exactly_equal(back, result)
    assert all(type(value) is str for value in back["token_text"].to_numpy())


def test_the_folder_of_a_run_is_not_its_result(tmp_path: Path) -> None:
    """Loading a run's folder says which file in it to load."""
    save(toy_result({"a": [[1.0, 2.0]]}), tmp_path / "results.nc")
    with pytest.raises(SchemaError, match=r"is the folder of a run; load the result in it, .*results\.nc"):
        load(tmp_path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_analyses_are_saved_too(tmp_path: Path, suffix: str) -> None:
    """The nodes of analyses, their truth values and attributes come back."""
    result = analyze(toy_result({"a": [[1, 2, 5, 4, 3]], "b": [[2, 1, 5, 4, 3]]}), "agreement")
    save(result, tmp_path / f"result.{suffix}")
    back = load(tmp_path / f"result.{suffix}")
    assert exactly_equal(back, result)
    node = analysis_node(back, "agreement")
    assert node.attrs == analysis_node(result, "agreement").attrs
    assert node["mean"].sel(partial=False, measure="rbo").to_numpy().max() == pytest.approx(1)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_long_lists_of_skipped_records_fit(tmp_path: Path, suffix: str) -> None:
    """An attribute beyond the 64 kB that HDF5 keeps in a header comes back."""
    result = toy_result({"a": [[1.0]]})
    skipped = json.dumps([{"where": f"f:{i}", "id": "é", "reason": "x" * 100} for i in range(2000)])
    result.attrs.update(skipped=skipped, skipped_count=2000)
    save(result, tmp_path / f"result.{suffix}")
    assert load(tmp_path / f"result.{suffix}").attrs["skipped"] == result.attrs["skipped"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_saving_again_replaces(tmp_path: Path, suffix: str) -> None:
    """A result saved where another was takes its place, and nothing else is left in the folder."""
    path = tmp_path / f"result.{suffix}"
    save(toy_result({"old": [[1.0, 2.0, 3.0]]}), path)
    save(toy_result({"new": [[1.0]]}), path)
    assert load(path)["estimator"].to_numpy().tolist() == ["new"]
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_failed_save_leaves_what_was_there(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk is full the file and a remedy are named; the old result is still there, alone."""
    path = tmp_path / f"result.{suffix}"
    save(toy_result({"old": [[1.0]]}), path)

    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tokimp.storage.atomic.os.fsync", fail)
    with pytest.raises(StorageError, match=rf"result\.{suffix} cannot be written \(no space left.*free some space"):
        save(toy_result({"new": [[1.0]]}), path)
    assert load(path)["estimator"].to_numpy().tolist() == ["old"]
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_a_name_must_say_its_format(tmp_path: Path) -> None:
    """Any other suffix is refused for saving and loading, and the two there are named."""
    for name in ("result", "result.pkl"):
        with pytest.raises(SchemaError, match=r"ends in \.nc or \.zarr"):
            save(toy_result({"a": [[1.0]]}), tmp_path / name)
        with pytest.raises(SchemaError, match=r"ends in \.nc or \.zarr"):
            load(tmp_path / name)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_files_that_are_no_results_are_refused(tmp_path: Path, suffix: str) -> None:
    """A missing file, a file of something else, one cut short and a bare dataset each have their error."""
    path = tmp_path / f"result.{suffix}"
    with pytest.raises(SchemaError, match="there is no such result"):
        load(path)
    path.write_bytes(b"\x89HDF\r\n\x1a\n, but not really")
    with pytest.raises(SchemaError, match="is damaged, or not a"):
        load(path)
    path.unlink()
    save(toy_result({"a": [[1.0, 2.0]]}), path)
    victim = path if suffix == "nc" else path / "importance" / "zarr.json"
    victim.write_bytes(victim.read_bytes()[: victim.stat().st_size // 2])
    with pytest.raises(SchemaError, match=r"damaged|variable 'importance' is missing"):
        load(path)


def test_an_hdf5_file_of_something_else_is_refused(tmp_path: Path) -> None:
    """A netCDF file without a schema version is no result."""
    xr.Dataset({"x": 1}).to_netcdf(tmp_path / "other.nc", engine="h5netcdf")
    with pytest.raises(SchemaError, match=r"other\.nc has schema version None, and this tokimp reads 1"):
        load(tmp_path / "other.nc")


def test_another_schema_version_is_refused(tmp_path: Path) -> None:
    """A result of a later format is refused by its version, before anything in it is called wrong."""
    later = toy_result({"a": [[1.0]]}).to_dataset().drop_vars("rank").assign_attrs(schema_version=2)
    later = later.drop_vars([name for name in later.variables if later[name].dtype.kind == "O"])
    xr.DataTree(later).to_netcdf(tmp_path / "later.nc", engine="h5netcdf")
    with pytest.raises(SchemaError, match="schema version 2, and this tokimp reads 1"):
        load(tmp_path / "later.nc")


def test_an_invalid_result_is_not_saved(tmp_path: Path) -> None:
    """What is not valid, or holds text the file would not give back, is refused before a file is made."""
    broken = toy_result({"a": [[1.0]]}).to_dataset()
    with pytest.raises(SchemaError, match="'rank' is missing"):
        save(xr.DataTree(broken.drop_vars("rank")), tmp_path / "result.nc")
    noted = xr.DataTree(broken.assign(note=("chain", np.array(["a\0b"], dtype=object))))
    with pytest.raises(SchemaError, match="'note' holds a NUL character at 1"):
        save(noted, tmp_path / "result.nc")
    with pytest.raises(SchemaError, match="there is no folder"):
        save(toy_result({"a": [[1.0]]}), tmp_path / "nowhere" / "result.nc")
    assert not list(tmp_path.iterdir())


def test_a_folder_with_the_name_of_a_netcdf_file_is_refused(tmp_path: Path) -> None:
    """A folder named results.nc is said to be a folder, not a damaged file."""
    (tmp_path / "results.nc").mkdir()
    with pytest.raises(SchemaError, match="is a folder, and a netCDF result is a file"):
        load(tmp_path / "results.nc")


@pytest.mark.parametrize("value", [("token", np.zeros(2)), np.array([None, 1.5], dtype=object)[:1]])
def test_objects_are_refused_by_name(tmp_path: Path, value: Any) -> None:
    """What is neither text nor number would come back as another thing: the variable and its type are said."""
    tree = toy_result({"a": [[1.0, 2.0]]})
    held = np.empty((), dtype=object)
    held[()] = value
    tree["mine"] = xr.DataArray(held)
    with pytest.raises(SchemaError, match=r"variable 'mine' holds (tuple|ndarray), which is neither text nor a number"):
        save(tree, tmp_path / "results.nc")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_lazy_result_is_read_where_it_is_used(tmp_path: Path, suffix: str) -> None:
    """Opened lazily, nothing is read until it is used, and then it is what was saved; damage is seen all the same."""
    result = analyze(toy_result({"a": [[1.0, 2.0], [3.0]], "b": [[2.0, 1.0], [1.0]]}), "agreement")
    path = tmp_path / f"results.{suffix}"
    save(result, path)
    with load(path, lazy=True) as opened:
        assert not opened["importance"].variable._in_memory
        first = opened.to_dataset().isel(chain=0, token=slice(0, 2))
        assert first["importance"].to_numpy().tolist() == [[1, 2], [2, 1]]
        assert not opened["importance"].variable._in_memory
        assert opened.attrs == load(path).attrs
        xr.testing.assert_identical(opened.load(), load(path))
    file = path if suffix == "nc" else next(path.rglob("c/0"))
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(SchemaError, match="damaged"):
        load(path, lazy=True)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("value", [None, {"a": 1}, [object()]])
def test_an_attribute_that_no_file_holds_is_named(suffix: str, value: Any, tmp_path: Path) -> None:
    """What an analysis of somebody else's wrote into its attributes is refused before a file is made."""
    for place in ("/", "/analysis/mine", "/analysis/mine/x"):
        tree = toy_result({"a": [[1.0, 2.0]]})
        tree["analysis/mine"] = xr.DataTree(xr.Dataset({"x": ("d", [1.0])}))
        holder = tree[place] if place != "/" else tree
        holder.attrs["settings"] = value
        with pytest.raises(SchemaError, match=r"'settings' is .*, which is neither text nor numbers"):
            save(tree, tmp_path / f"result.{suffix}")
    assert list(tmp_path.iterdir()) == []
