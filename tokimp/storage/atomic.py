"""Atomic writes: a reader, or a run continued after a crash, meets the old content or the new, never half of it."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tokimp.storage.json_file import json_text, with_digest
from tokimp.storage.write_errors import naming_what_is_written

SUFFIX = ".partial"
_OLD = ".old"
# Some file systems (FUSE, some network mounts) cannot flush. Writing goes on there, without the promise of durability.
_CANNOT_FLUSH = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF, errno.EACCES, errno.EPERM}
# Who writes: the machine, the process, and a mark of its own, so that a later process can tell leftovers from writes
# that are under way.
_WRITER = re.compile(r"\.(?P<name>.+)\.(?P<machine>[0-9a-f]{8})-(?P<process>\d+)-[0-9a-f]{8}(\.old)?\.partial")
_under_way: set[str] = set()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write a file or a folder to, which takes the place of `path` on leaving.

    What was written is flushed to disk before it is renamed, and the rename is flushed too. A file is replaced in one
    step. A folder cannot be: for an instant neither is there, and the old one stands beside `path`; if the process ends
    then, `remove_partial` puts it back. If the block raises, what it wrote is removed and `path` stays as it was.

    What writes of the same file left that were cut off by a kill is removed first.

    Parameters
    ----------
    path
        The file or folder to make or to replace; its parent folder is there.

    Raises
    ------
    StorageError
        If the file cannot be written: the disk is full, say.
    """
    remove_left_by_ended_processes(path)
    mark = f".{path.name}.{_machine()}-{os.getpid()}-{secrets.token_hex(4)}"
    partial, aside = (path.parent / f"{mark}{suffix}" for suffix in (SUFFIX, _OLD + SUFFIX))
    _under_way.update({partial.name, aside.name})
    try:
        with naming_what_is_written(path):
            yield partial
            _flush(partial)
            if partial.is_dir() and path.exists():
                path.rename(aside)
                partial.rename(path)
                _remove(aside)
            else:
                partial.replace(path)
            flush_entries(path.parent)
    finally:
        _remove(partial)
        _under_way.difference_update({partial.name, aside.name})


def write_records(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Write records as a JSONL file, one a line, in one step; an old file is replaced."""
    with replacing(path) as partial:
        partial.write_text("".join(json_text(record) + "\n" for record in records), "utf-8")


def write_object(path: Path, content: Mapping[str, Any]) -> None:
    """Write one JSON object to a file, each field on a line of its own, in one step; an old file is replaced.

    A field ``digest`` is added, by which `tokimp.storage.json_file.read_object` knows a file that was changed.
    """
    with replacing(path) as partial:
        partial.write_text(json_text(with_digest(content), indent=1) + "\n", "utf-8")


def remove_partial(folder: Path, name: str = "*") -> None:
    """Remove what interrupted writes left in a folder: writes of the file or folder called `name`, or all of them.

    Call it under the lock of the folder. Writes of processes of this machine that are still at work stay all the same.
    """
    for leftover in folder.glob(f".{name}.*{SUFFIX}"):
        writer = _WRITER.fullmatch(leftover.name)
        is_at_work = writer is not None and writer["machine"] == _machine() and not _has_ended(writer)
        if leftover.name not in _under_way and not is_at_work:
            _put_back_or_remove(leftover)


def remove_left_by_ended_processes(path: Path) -> None:
    """Remove what writes of `path` left whose process has ended; this needs no lock."""
    # A name is compared, not globbed: it may hold signs that a pattern reads otherwise.
    with suppress(OSError):
        for leftover in sorted(path.parent.iterdir()) if path.parent.is_dir() else []:
            writer = _WRITER.fullmatch(leftover.name)
            if writer and writer["name"] == path.name and leftover.name not in _under_way and _has_ended(writer):
                _put_back_or_remove(leftover)


def _has_ended(writer: re.Match[str]) -> bool:
    """Whether the process that wrote a leftover has ended, as far as this machine can tell."""
    if writer["machine"] != _machine():
        return False
    process = int(writer["process"])
    if process == os.getpid():
        # An earlier process of the same number: this one knows what it is writing.
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _machine() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def _put_back_or_remove(leftover: Path) -> None:
    """Remove a leftover; an old folder whose place is empty goes back to it."""
    writer = _WRITER.fullmatch(leftover.name)
    if writer and leftover.name.endswith(_OLD + SUFFIX) and not (leftover.parent / writer["name"]).exists():
        leftover.rename(leftover.parent / writer["name"])
    else:
        _remove(leftover)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    for file in path.rglob("*") if path.is_dir() else [path]:
        if file.is_file():
            with file.open("rb") as stream:
                flush(stream.fileno())


def flush(descriptor: int) -> None:
    """Flush a file or folder to disk, where its file system can do that.

    Raises
    ------
    OSError
        If the file system can flush and fails: the disk is full, or broken.
    """
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_FLUSH:
            raise


def flush_entries(folder: Path) -> None:
    """Flush the names of the files in a folder to disk, where the system can do that."""
    # A rename is durable once its folder is flushed. Systems that cannot open a folder take care of that themselves.
    if hasattr(os, "O_DIRECTORY"):
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            # A folder that may be written to, but not read, cannot be opened.
            if error.errno not in _CANNOT_FLUSH:
                raise
            return
        try:
            flush(descriptor)
        finally:
            os.close(descriptor)
