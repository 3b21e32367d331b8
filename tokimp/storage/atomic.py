"""Atomic writes: a reader, or a run continued after a crash, meets the old content or the new, never half of it."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SUFFIX = ".partial"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write a file or a folder to, which takes the place of `path` on leaving.

    What was written is flushed to disk before it is renamed, and the rename is flushed too. A file is replaced in one
    step. A folder cannot be: for an instant neither is there, and the old one stands beside `path`. If the block
    raises, what it wrote is removed and `path` stays as it was.

    Parameters
    ----------
    path
        The file or folder to make or to replace; its parent folder is there.
    """
    mark = f".{path.name}.{secrets.token_hex(4)}"
    partial = path.parent / (mark + SUFFIX)
    try:
        yield partial
        _flush(partial)
        if partial.is_dir() and path.exists():
            aside = path.parent / (mark + ".old" + SUFFIX)
            path.rename(aside)
            partial.rename(path)
            _remove(aside)
        else:
            partial.replace(path)
        _flush_entries(path.parent)
    finally:
        _remove(partial)


def write_records(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Write records as a JSONL file, one a line, in one step; an old file is replaced."""
    with replacing(path) as partial:
        partial.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), "utf-8")


def write_object(path: Path, content: Mapping[str, Any]) -> None:
    """Write one JSON object to a file, each field on a line of its own, in one step; an old file is replaced."""
    with replacing(path) as partial:
        partial.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")


def remove_partial(folder: Path, name: str = "*") -> None:
    """Remove what interrupted writes left in a folder: writes of the file or folder called `name`, or all of them."""
    for leftover in folder.glob(f".{name}.*{SUFFIX}"):
        _remove(leftover)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    for file in path.rglob("*") if path.is_dir() else [path]:
        if file.is_file():
            with file.open("rb") as stream:
                os.fsync(stream.fileno())


def _flush_entries(folder: Path) -> None:
    # A rename is durable once its folder is flushed. Systems that cannot open a folder take care of that themselves.
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
