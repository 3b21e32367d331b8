"""The finished batches of a run, on disk as one JSON object a line: the run can be killed and continued."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokimp.errors import ResumeError

NAME = "batches.jsonl"


class BatchLog:
    """The batches that a run has finished, in order.

    Each line is flushed to disk. If a crash has torn the last line, it is cut off, and its batch is done again.

    Parameters
    ----------
    folder
        The folder of the run. The run must hold its lock (`tokimp.storage.run_folder.RunFolder`) while the log is in
        use.

    Attributes
    ----------
    batches
        The finished batches, in order, each with its number under ``batch``.

    Raises
    ------
    ResumeError
        If a whole line is damaged, or a batch is out of place.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self.batches: list[dict[str, Any]] = self._read() if self._path.exists() else []

    def append(self, batch: Mapping[str, Any]) -> None:
        """Add the next batch; once this returns, it survives a kill."""
        numbered = {"batch": len(self.batches), **batch}
        with self._path.open("ab") as stream:
            stream.write(json.dumps(numbered, ensure_ascii=False).encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        self.batches.append(numbered)

    def _read(self) -> list[dict[str, Any]]:
        content = self._path.read_bytes()
        whole, newline, torn = content.rpartition(b"\n")
        if torn:
            os.truncate(self._path, len(whole) + len(newline))
        batches = []
        for number, line in enumerate(whole.split(b"\n") if newline else [], start=1):
            try:
                batch = json.loads(line.decode())
                is_in_place = batch["batch"] == number - 1
            except (ValueError, KeyError, TypeError) as error:
                raise ResumeError(
                    f"{self._path}:{number} is damaged ({error}); cut the file off before it, or use another folder"
                ) from error
            if not is_in_place:
                raise ResumeError(f"{self._path}:{number} is batch {batch['batch']}; use another folder")
            batches.append(batch)
        return batches
