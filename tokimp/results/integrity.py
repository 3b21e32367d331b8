"""Digests of stored results: a damaged file is known before a library reads it, which might hang or give wrong numbers.

A netCDF file ends in a line with the digest of everything before it, which HDF5 takes no notice of. The root of a Zarr
folder has an attribute with the digest of all its files. Results without a digest (of 0.1.0, or written by other
programs) are read by a process of their own first, which may fail or hang without harm.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

from tokimp.errors import SchemaError
from tokimp.storage.digests import file_digest, json_digest

ATTRIBUTE = "tokimp_digest"
"""The attribute of a Zarr result that holds its digest; `tokimp.load` takes it out."""
_MARK = b"\ntokimp sha256 "
_ENDING_LENGTH = len(_MARK) + 64 + 1
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_AT_ONCE = 2**22
# Where a superblock of HDF5 says how long the file is, by its version.
_END_OF_FILE = {0: 40, 1: 44, 2: 28, 3: 28}
_PROBE = """
import sys
import h5py
def read(_, thing):
    dict(thing.attrs)
    if isinstance(thing, h5py.Dataset):
        thing[()]
with h5py.File(sys.argv[1], "r") as stored:
    dict(stored.attrs)
    stored.visititems(read)
"""
_PROBE_SECONDS = 60.0
_PROBE_BYTES_A_SECOND = 1e6


def digest_line_of_file(path: Path) -> bytes:
    """Return the line with the digest of a netCDF file, which is to be put after it; the file is read in pieces."""
    return _MARK + _digest_of_start(path, path.stat().st_size) + b"\n"


def check_netcdf(path: Path) -> None:
    """Raise `SchemaError` if a netCDF file is damaged, before the library opens it.

    A file without a digest is opened by a process of its own first.
    """
    length = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(64)
        stream.seek(max(0, length - _ENDING_LENGTH))
        ending = stream.read()
    if ending.startswith(_MARK) and ending.endswith(b"\n"):
        if _digest_of_start(path, length - _ENDING_LENGTH) != ending[len(_MARK) : -1]:
            raise _damaged(path, "its content does not have the digest that it was saved with")
        return
    if head[:8] != _SIGNATURE:
        raise _damaged(path, "it does not begin like one")
    recorded = _recorded_length(head)
    # A program that changes a file through HDF5 cuts the digest off, and then both lengths are the same.
    if recorded is not None and recorded != length:
        raise _damaged(path, f"it has {length} bytes, and says that it has {recorded}")
    _probe(path, length)


def zarr_digest(folder: Path) -> str:
    """Return the digest of all files of a Zarr folder; the attribute that holds it does not count."""
    files = {
        file.relative_to(folder).as_posix(): file_digest(file)
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file != folder / "zarr.json"
    }
    root = json.loads((folder / "zarr.json").read_text(encoding="utf-8"))
    root["attributes"].pop(ATTRIBUTE, None)
    return json_digest({"files": files, "root": root})


def add_zarr_digest(folder: Path) -> None:
    """Put the digest of a Zarr folder into the attributes of its root."""
    path = folder / "zarr.json"
    root = json.loads(path.read_text(encoding="utf-8"))
    root["attributes"][ATTRIBUTE] = zarr_digest(folder)
    path.write_text(json.dumps(root, indent=2), encoding="utf-8")


def check_zarr(folder: Path) -> None:
    """Raise `SchemaError` if a Zarr folder has a digest, and it is not that of its files."""
    try:
        attributes = json.loads((folder / "zarr.json").read_text(encoding="utf-8"))["attributes"]
        recorded = attributes.get(ATTRIBUTE)
        is_whole = recorded is None or recorded == zarr_digest(folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(folder, f"zarr.json cannot be read: {type(error).__name__}: {error}") from error
    if not is_whole:
        raise _damaged(folder, "its files do not have the digest that they were saved with")


def _damaged(path: Path, why: str) -> SchemaError:
    return SchemaError(
        f"{path} is damaged, or not a {path.suffix} file ({why}); make it again: the cells of its run are kept. "
        "If another program changed it on purpose, open it with xarray and save it with tokimp.save"
    )


def _digest_of_start(path: Path, length: int) -> bytes:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while length > 0 and (content := stream.read(min(length, _AT_ONCE))):
            digest.update(content)
            length -= len(content)
    return digest.hexdigest().encode()


def _recorded_length(head: bytes) -> int | None:
    """Return how long an HDF5 file says that it is; ``None`` if its form is not one that netCDF libraries write."""
    at, size = _END_OF_FILE.get(head[8]), head[13] if head[8] < 2 else head[9]
    return None if at is None or size != 8 else int.from_bytes(head[at : at + 8], "little")


def _probe(path: Path, length: int) -> None:
    """Read a file in a process of its own: a damaged one can make the HDF5 library hang, or end its process."""
    limit = _PROBE_SECONDS + length / _PROBE_BYTES_A_SECOND
    command = [sys.executable, "-c", _PROBE, str(path.resolve())]
    try:
        done = subprocess.run(command, capture_output=True, timeout=limit, check=False)  # noqa: S603 - our own program
    except subprocess.TimeoutExpired:
        raise _damaged(path, f"reading it did not end within {limit:.0f} s") from None
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise _damaged(path, lines[-1] if lines else f"reading it ended with status {done.returncode}")
