"""Writing a netCDF file in pieces: what a full disk does, and that HDF5 never notices."""

from __future__ import annotations

import io
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tokimp.errors import StorageError
from tokimp.results.io import load, save
from tokimp.results.netcdf_file import PatientFile
from tokimp.testing.toy_result import toy_result


@pytest.fixture
def small_disk() -> Iterator[None]:
    """Let no file have more than 30 kB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_fills_up_while_hdf5_writes_is_told(tmp_path: Path, small_disk: None) -> None:
    """The file is named, the process goes on, nothing half written is left, and the next save works."""
    path = tmp_path / "result.nc"
    with pytest.raises(StorageError, match=r"result\.nc cannot be written"):
        save(toy_result({"a": [[1.0, 2.0]]}), path)
    assert not list(tmp_path.iterdir())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    try:
        save(toy_result({"a": [[1.0, 2.0]]}), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert load(path)["importance"].to_numpy().tolist() == [[1.0, 2.0]]


_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["write", "read", "truncate"]), st.integers(0, 300), st.binary(max_size=80), st.integers(0, 100)
    ),
    max_size=25,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(steps=_STEPS, limit=st.integers(0, 300))
def test_what_the_disk_refuses_is_read_back_all_the_same(
    tmp_path: Path, steps: list[tuple[str, int, bytes, int]], limit: int
) -> None:
    """Whatever is written where, reading gives what a file in memory gives, whether or not the disk has room."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with PatientFile(tmp_path / "file") as patient, io.BytesIO() as twin:
            for what, place, content, count in steps:
                for stream in (patient, twin):
                    stream.seek(place)
                if what == "write" and content:
                    assert patient.write(content) == twin.write(content)
                elif what == "read":
                    assert patient.read(count) == twin.read(count)
                elif what == "truncate":
                    # A file in memory is not made longer.
                    patient.truncate(place)
                    twin.truncate(place)
                    twin.seek(0, io.SEEK_END)
                    twin.write(bytes(place - twin.tell()))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
