"""Appending to a file durably: what was appended survives a kill, and a failed write leaves the file as it was."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from tokimp.storage.atomic import flush, flush_entries
from tokimp.storage.write_errors import naming_what_is_written


def append(path: Path, content: bytes) -> int:
    """Add bytes to the end of a file and flush them to disk; return where in the file they begin.

    Whoever appends holds the lock of the folder. A kill leaves part of the bytes at most, at the end.

    Parameters
    ----------
    path
        The file; made if it is missing.
    content
        What to add.

    Raises
    ------
    StorageError
        If it cannot be written. The file is as it was.
    """
    is_new = not path.exists()
    begin = 0 if is_new else path.stat().st_size
    try:
        with naming_what_is_written(path):
            with path.open("ab") as stream:
                stream.write(content)
                stream.flush()
                flush(stream.fileno())
            if is_new:
                # A new file is durable once its folder is.
                flush_entries(path.parent)
    except BaseException:
        # Half of it in the middle would be damage, should this process go on to write. Where even that fails, readers
        # leave the damaged part out.
        with suppress(OSError):
            os.truncate(path, begin)
        raise
    return begin
