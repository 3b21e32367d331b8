"""Folders of finished work: whose they are, that only one process writes there, and what files hold."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock

from tokimp.atomic import remove_partial, replacing
from tokimp.errors import ResumeError
from tokimp.journal import differences

_WEIGHTS = ("*.json", "*.safetensors", "*.bin", "*.gguf", "*.model", "*.jinja", "*.txt")
_PIECE = 2**22


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder, made if it is missing, against other processes.

    Raises
    ------
    ResumeError
        If another process holds it, or it cannot be written to.
    """
    # The operating system lets go of the lock when the process ends, however it ends.
    lock = filelock.FileLock(folder / ".lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise ResumeError(
            f"{folder}: another process is at work in this folder; wait for it, or use another folder"
        ) from None
    except OSError as error:
        raise ResumeError(f"{folder} cannot be written to ({error}); use another folder") from error
    try:
        yield
    finally:
        lock.release()


def claim(path: Path, identity: Mapping[str, Any]) -> None:
    """Write what the work in a folder is, or make sure that it is what the folder holds already.

    Parameters
    ----------
    path
        The file that says so.
    identity
        Everything that changes the work's outcome, as JSON can hold it.

    Raises
    ------
    ResumeError
        If the folder holds other work; the message names what differs.
    """
    check(path, identity)
    remove_partial(path.parent, path.name)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            partial.write_text(json.dumps(identity, indent=1, ensure_ascii=False), encoding="utf-8")


def check(path: Path, identity: Mapping[str, Any]) -> None:
    """Raise `ResumeError` where a file written by `claim` says something else; pass where there is none."""
    if not path.exists():
        return
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ResumeError(f"{path} is damaged ({error}); delete its folder, or use another one") from error
    # What is compared is what JSON gives back, so that tuples and lists are the same on both sides.
    found = list(differences(before, json.loads(json.dumps(identity))))
    if found:
        more = f"; and {len(found) - 6} more" if len(found) > 6 else ""
        raise ResumeError(
            f"{path.parent} holds other work ({'; '.join(found[:6])}{more}): repeat the earlier call to continue it, "
            "use another folder for this one, or delete that one"
        )


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    found = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE):
            found.update(piece)
    return found.hexdigest()


def model_digest(model: str) -> str:
    """Return a digest of a model's files where it lies in a folder or file; empty for a hub id and ``tiny``."""
    path = Path(model).expanduser()
    if path.is_file():
        return file_digest(path)
    if not path.is_dir():
        return ""
    files = sorted({file for pattern in _WEIGHTS for file in path.glob(pattern)})
    listed = "".join(f"{file.name} {file_digest(file)}\n" for file in files)
    return hashlib.sha256(listed.encode()).hexdigest()
