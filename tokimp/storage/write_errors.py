"""What a file that cannot be written is told as: one line with the path, the reason and a remedy."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tokimp.errors import StorageError

# The reasons that lie outside the program. Any other OSError of a block that writes is a mistake in it, and stays raw.
_REMEDIES = {
    errno.ENOSPC: "free some space on that disk, or name a folder on another one",
    errno.EDQUOT: "free some space within your quota, or name a folder on another disk",
    errno.EFBIG: "the file system takes no file of this size; name a folder on another disk",
    errno.EROFS: "the file system is read-only; name a folder that may be written to",
    errno.EACCES: "allow writing there, or name a folder that may be written to",
    errno.EPERM: "allow writing there, or name a folder that may be written to",
    errno.EIO: "the disk fails; name a folder on another one",
    errno.ENAMETOOLONG: "give a shorter name",
}
# Libraries that write through other languages raise errors of their own, in which only the text says what happened.
_DISK_FULL = re.compile(r"no space left|os error 28\b|errno = 28\b|file write failed|PytorchStreamWriter failed", re.I)
_QUOTA = re.compile(r"disk quota exceeded|os error 122\b|errno = 122\b", re.I)


def write_failure(error: BaseException) -> tuple[str, str] | None:
    """Return the reason and a remedy if an error says that a file could not be written, else ``None``.

    Parameters
    ----------
    error
        An `OSError`, or the error of a library (safetensors, torch, HDF5) that writes files.
    """
    number = error.errno if isinstance(error, OSError) else None
    text = str(error)
    if number not in _REMEDIES:
        number = errno.ENOSPC if _DISK_FULL.search(text) else errno.EDQUOT if _QUOTA.search(text) else None
    if number is None:
        return None
    reason = {errno.ENOSPC: "no space left on the disk", errno.EDQUOT: "the disk quota is used up"}
    said = reason.get(number) or (error.strerror if isinstance(error, OSError) else "") or type(error).__name__
    return said, _REMEDIES[number]


@contextmanager
def naming_what_is_written(path: Path) -> Iterator[None]:
    """Turn a failure to write into a `StorageError` that names a path; other errors pass.

    Parameters
    ----------
    path
        The file or folder that the block writes.
    """
    try:
        yield
    except StorageError:
        raise
    except Exception as error:
        failure = write_failure(error)
        if failure is None:
            raise
        reason, remedy = failure
        raise StorageError(
            f"{path} cannot be written ({reason}); {remedy}; what was finished before is kept"
        ) from error


def check_writable(folder: Path) -> None:
    """Raise `StorageError` if no file can be made in a folder; to be asked before work whose result goes there."""
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StorageError(
            f"{folder} cannot be written to; allow writing there (chmod u+w), or name a folder that may be written to"
        )
