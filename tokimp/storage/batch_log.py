"""The finished batches of a run, on disk as one JSON object a line: the run can be killed and continued."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokimp.storage.appending import append
from tokimp.storage.atomic import replacing
from tokimp.storage.digests import json_digest
from tokimp.storage.write_errors import naming_what_is_written

NAME = "batches.jsonl"


class BatchLog:
    """The batches that a run has finished, in order.

    Each line has a digest and is flushed to disk. If a crash has torn the last line, it is cut off. A torn or damaged
    batch is done again; the batches after it are kept.

    Parameters
    ----------
    folder
        The folder of the run. The run must hold its lock (`tokimp.storage.run_folder.RunFolder`) while the log is in
        use.

    Attributes
    ----------
    batches
        The finished batches, in order, each with its number under ``batch``; ``None`` in the place of a damaged one.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self.batches: list[dict[str, Any] | None] = self._read() if self._path.exists() else []

    @property
    def whole(self) -> list[dict[str, Any]]:
        """The finished batches that are not damaged."""
        return [batch for batch in self.batches if batch is not None]

    def append(self, batch: Mapping[str, Any]) -> None:
        """Add the next batch; once this returns, it survives a kill."""
        self.store(len(self.batches), batch)

    def store(self, number: int, batch: Mapping[str, Any]) -> None:
        """Store a batch: the next one, or one in the place of a damaged one; once this returns, it survives a kill.

        Parameters
        ----------
        number
            The place of the batch, from 0 up to how many there are.
        batch
            What JSON can hold.

        Raises
        ------
        StorageError
            If it cannot be written; the batches before it are kept.
        """
        numbered = {"batch": number, **batch}
        if number < len(self.batches):
            self.batches[number] = numbered
            self._write_anew()
            return
        append(self._path, _line(numbered))
        self.batches.append(numbered)

    def _write_anew(self) -> None:
        with replacing(self._path) as partial:
            # A batch that is still damaged keeps its line, so that those after it keep their places.
            partial.write_bytes(b"".join(b"{}\n" if batch is None else _line(batch) for batch in self.batches))

    def _read(self) -> list[dict[str, Any] | None]:
        content = self._path.read_bytes()
        whole, newline, torn = content.rpartition(b"\n")
        if torn:
            with naming_what_is_written(self._path):
                os.truncate(self._path, len(whole) + len(newline))
        lines = whole.split(b"\n") if newline else []
        # Lines that 0.1.0 wrote have no digest; a run is made by one version, so that all lines have one or none.
        has_digests = any(b'"digest": "' in line for line in lines)
        return [_batch(line, number, has_digest=has_digests) for number, line in enumerate(lines)]


def _line(batch: Mapping[str, Any]) -> bytes:
    return json.dumps({**batch, "digest": json_digest(batch)}, ensure_ascii=False).encode() + b"\n"


def _batch(line: bytes, number: int, *, has_digest: bool) -> dict[str, Any] | None:
    """Return the batch of a line; ``None`` if the line is damaged, or of another place."""
    try:
        batch: dict[str, Any] = json.loads(line.decode())
        digest = batch.pop("digest", None)
        is_whole = batch["batch"] == number and digest == (json_digest(batch) if has_digest else None)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return batch if is_whole else None
