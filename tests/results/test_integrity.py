"""Damaged results: whatever is changed in a stored result is seen, and nothing hangs or ends the process."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

from tokimp.errors import SchemaError
from tokimp.results import integrity
from tokimp.results.io import load, save
from tokimp.testing.toy_result import toy_result

EARLIER = Path(__file__).parents[1] / "fixtures" / "tokimp_0_1_0" / "compare" / "results.nc"


@pytest.fixture(scope="module")
def result() -> xr.DataTree:
    """Return a result with an analysis, and with numbers that fill several blocks."""
    tree = toy_result({"a": [list(np.linspace(0, 1, 500))], "b": [list(np.linspace(1, 0, 500))]})
    tree["analysis/mine"] = xr.DataTree(xr.Dataset({"mean": ("estimator", [1.0, 2.0])}, attrs={"seed": 1}))
    return tree


def damaged(content: bytes, generator: np.random.Generator) -> bytes:
    """Return a file with a byte changed, a bit changed, a block of zeros, a part lost, doubled or cut off."""
    at = int(generator.integers(len(content)))
    length = int(generator.integers(1, 5000))
    kind = generator.integers(6)
    if kind < 2:
        changed = content[at] ^ (1 << int(generator.integers(8)) if kind else int(generator.integers(1, 256)))
        return content[:at] + bytes([changed]) + content[at + 1 :]
    if kind == 2:
        return content[:at] + bytes(len(content[at : at + length])) + content[at + length :]
    if kind == 3:
        return content[:at] + content[at + length :]
    if kind == 4:
        return content[: at + length] + content[at:]
    return content[:at]


def refusal(path: Path, result: xr.DataTree) -> str | None:
    """Return why a stored result is refused; ``None`` if it is read, and then it is the very same result."""
    try:
        read = load(path)
    except SchemaError as error:
        return str(error)
    assert read.identical(result)
    return None


@pytest.mark.parametrize("trials", [60, pytest.param(2000, marks=pytest.mark.slow)])
def test_no_damage_to_a_netcdf_file_goes_unseen(result: xr.DataTree, tmp_path: Path, trials: int) -> None:
    """A damaged file is an error that names it, or gives the very same result."""
    path = tmp_path / "results.nc"
    save(result, path)
    whole = path.read_bytes()
    generator = np.random.default_rng(trials)
    seen = 0
    for _ in range(trials):
        path.write_bytes(damaged(whole, generator))
        message = refusal(path, result)
        assert message is None or str(path) in message
        seen += message is not None
    assert seen > 0.9 * trials


@pytest.mark.parametrize("trials", [30, pytest.param(400, marks=pytest.mark.slow)])
def test_no_damage_to_a_zarr_folder_goes_unseen(result: xr.DataTree, tmp_path: Path, trials: int) -> None:
    """A changed, lost or added file anywhere in the folder is an error that names the folder."""
    whole = tmp_path / "whole.zarr"
    save(result, whole)
    generator = np.random.default_rng(trials)
    names = sorted(path.relative_to(whole) for path in whole.rglob("*") if path.is_file())
    for trial in range(trials):
        folder = Path(shutil.copytree(whole, tmp_path / f"{trial}.zarr"))
        victim = folder / names[int(generator.integers(len(names)))]
        kind = generator.integers(6)
        if kind == 0:
            victim.unlink()
        elif kind == 1:
            victim.with_name("more").write_bytes(b"x")
        else:
            victim.write_bytes(damaged(victim.read_bytes(), generator))
        unharmed = (
            victim.exists() and kind != 1 and victim.read_bytes() == (whole / victim.relative_to(folder)).read_bytes()
        )
        message = refusal(folder, result)
        if message is not None:
            assert str(folder) in message
        else:
            # White space in JSON, and the digest itself, may change without harm; zeros may be written over zeros.
            assert unharmed or victim.name == "zarr.json", (trial, kind, victim)
        shutil.rmtree(folder)


def test_any_reader_opens_what_is_saved(result: xr.DataTree, tmp_path: Path) -> None:
    """The digest at the end is no hindrance to HDF5, and every number has HDF5's own checksum."""
    path = tmp_path / "results.nc"
    save(result, path)
    opened = xr.open_dataset(path, engine="h5netcdf")
    np.testing.assert_array_equal(opened["importance"], result["importance"])
    opened.close()
    with h5py.File(path) as stored:
        assert all(stored[name].fletcher32 for name in ("importance", "rank", "logprob", "analysis/mine/mean"))


def test_a_file_that_another_program_changed_is_read(result: xr.DataTree, tmp_path: Path) -> None:
    """A variable that a user adds through HDF5 takes the digest away; the result is still read."""
    path = tmp_path / "results.nc"
    save(result, path)
    xr.Dataset({"mine": ("chain", [7.0])}).to_netcdf(path, mode="a", engine="h5netcdf")
    assert load(path)["mine"].to_numpy().tolist() == [7.0]


def test_results_of_earlier_versions_are_read_or_refused(tmp_path: Path) -> None:
    """A file without a digest opens; zeroed, cut short or lengthened it is refused and does not end the process."""
    path = tmp_path / "results.nc"
    whole = EARLIER.read_bytes()
    path.write_bytes(whole)
    assert load(path).sizes["chain"] == 2
    for content in (
        whole[:-1000],
        whole + b"more",
        bytes(8) + whole[8:],
        whole[:2000] + bytes(4000) + whole[6000:],
        b"",
    ):
        path.write_bytes(content)
        with pytest.raises(SchemaError, match=r"is damaged, or not a \.nc file"):
            load(path)


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import time; time.sleep(600)", "did not end within 1 s"),
        ("import os; os.kill(os.getpid(), 11)", "ended with status -11"),
        ("raise OSError('bad heap')", "OSError: bad heap"),
    ],
)
def test_a_library_that_hangs_or_crashes_is_contained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, said: str
) -> None:
    """What the HDF5 library does to a file without a digest is met by another process, and told in one line."""
    monkeypatch.setattr(integrity, "_PROBE", program)
    monkeypatch.setattr(integrity, "_PROBE_SECONDS", 1.0)
    path = Path(shutil.copy(EARLIER, tmp_path))
    with pytest.raises(SchemaError, match=said):
        load(path)


def test_an_attribute_named_like_the_digest_is_not_kept(result: xr.DataTree, tmp_path: Path) -> None:
    """The digest of a Zarr folder is no part of the result that comes back."""
    save(result, tmp_path / "results.zarr")
    assert load(tmp_path / "results.zarr").identical(result)
