"""Losing stored records, as a damaged disk would."""

from __future__ import annotations

from pathlib import Path

from tokimp.storage.record_log import RecordLog


def lose_last_record(folder: Path) -> None:
    """Cut the last record of a folder's only file of records short."""
    lose_record(folder, list(RecordLog(folder, writes=False))[-1])


def lose_record(folder: Path, key: str) -> None:
    """Change the last byte of the record under a key, or of its digest where it has no content."""
    (path,) = folder.glob("*.records")
    content = path.read_bytes()
    stored = RecordLog(folder, writes=False).get(key)
    assert stored is not None
    at = content.rindex(key.encode() + stored) + len(key.encode()) + len(stored) - 1
    path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
