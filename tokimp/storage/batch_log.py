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
from tokimp.storage.json_file import json_text
from tokimp.storage.write_errors import naming_what_is_written

NAME = "batches.jsonl"
_MOST_BATCHES = 10**7  # a larger number was damaged, and is not to take up memory


class BatchLog:
    """The batches that a run has finished, by number.

    Each line has a number and a digest, and is flushed to disk. If a crash has torn the last line, it is cut off. A
    batch that is torn, damaged or missing is done again; the others are kept. Batches may come in any order.

    Parameters
    ----------
    folder
        The folder of the run. The run must hold its lock (`tokimp.storage.run_folder.RunFolder`) while the log is in
        use.
    writes
        Whether batches will be stored. A log that is only read leaves the file as it is, and needs no lock.

    Attributes
    ----------
    batches
        The batches by number, each with its number under ``batch``; ``None`` in the place of one that is not there.
    """

    def __init__(self, folder: Path, *, writes: bool = True) -> None:
        self._path = folder / NAME
        self.batches: list[dict[str, Any] | None] = []
        # Whether the file has just the batches, in their order.
        self._is_in_order = True
        if self._path.exists():
            self._read(cuts_off=writes)

    @property
    def whole(self) -> list[dict[str, Any]]:
        """The finished batches that are not damaged, by number."""
        return [batch for batch in self.batches if batch is not None]

    def append(self, batch: Mapping[str, Any]) -> None:
        """Add the next batch; once this returns, it survives a kill."""
        self.store(len(self.batches), batch)

    def store(self, number: int, batch: Mapping[str, Any]) -> None:
        """Store a batch; once this returns, it survives a kill.

        Parameters
        ----------
        number
            The number of the batch, from 0.
        batch
            What JSON can hold.

        Raises
        ------
        StorageError
            If it cannot be written; the batches before it are kept.
        """
        numbered = {"batch": number, **batch}
        append(self._path, _line(numbered))
        self._is_in_order = self._is_in_order and number == len(self.batches)
        self._put(number, numbered)

    def put_in_order(self) -> None:
        """Write the file anew if batches came out of order or were damaged: it then depends on the batches alone."""
        if self._is_in_order:
            return
        with replacing(self._path) as partial:
            partial.write_bytes(b"".join(map(_line, self.whole)))
        self._is_in_order = None not in self.batches

    def _put(self, number: int, batch: dict[str, Any]) -> None:
        self.batches += [None] * (number + 1 - len(self.batches))
        self.batches[number] = batch

    def _read(self, *, cuts_off: bool) -> None:
        content = self._path.read_bytes()
        whole, newline, torn = content.rpartition(b"\n")
        if torn and cuts_off:
            with naming_what_is_written(self._path):
                os.truncate(self._path, len(whole) + len(newline))
        lines = whole.split(b"\n") if newline else []
        # Lines that 0.1.0 wrote have no digest; a run is made by one version, so that all lines have one or none.
        has_digests = any(b'"digest": "' in line for line in lines)
        for place, line in enumerate(lines):
            batch = _batch(line, has_digest=has_digests)
            self._is_in_order = self._is_in_order and batch is not None and batch["batch"] == place
            if batch is not None:
                self._put(batch["batch"], batch)


def _line(batch: Mapping[str, Any]) -> bytes:
    return json_text({**batch, "digest": json_digest(batch)}).encode() + b"\n"


def _batch(line: bytes, *, has_digest: bool) -> dict[str, Any] | None:
    """Return the batch of a line; ``None`` if the line is damaged."""
    try:
        batch: dict[str, Any] = json.loads(line.decode())
        digest = batch.pop("digest", None)
        number, is_whole = batch["batch"], digest == (json_digest(batch) if has_digest else None)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return batch if is_whole and type(number) is int and 0 <= number < _MOST_BATCHES else None
