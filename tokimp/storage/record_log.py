"""Records under keys, in files that are only appended to: a run that is killed keeps every record it has stored.

A file of records holds, one after the other: a mark, the lengths of key and content, the SHA-256 of lengths, key and
content, the key, the content. What a kill tore is at the end, and is cut off. What was damaged in the middle is passed
over: the next mark is found again, and the records behind it are kept.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tokimp.storage.appending import append
from tokimp.storage.write_errors import naming_what_is_written

SUFFIX = ".records"

_MARK = b"\x93tokimp\n"
_LENGTHS = struct.Struct("<IQ")
_DIGEST_LENGTH = 32
_HEADER_LENGTH = len(_MARK) + _LENGTHS.size + _DIGEST_LENGTH


class _Place(NamedTuple):
    """Where a record lies: its file, where its header begins, and the lengths of key and content."""

    path: Path
    begin: int
    key_length: int
    content_length: int

    @property
    def end(self) -> int:
        return self.begin + _HEADER_LENGTH + self.key_length + self.content_length


class RecordLog:
    """The records in a folder, by key; of two with one key the later one counts, if it is whole.

    All files of records in the folder are read, in the order of their names, the one that is written to last: what is
    stored again in the place of a damaged record counts. Opening reads the headers only; a record's content is read,
    and its digest checked, when it is asked for.

    Parameters
    ----------
    folder
        The folder; it may be missing until something is appended.
    writer
        The name of the file that is written to, without its suffix.
    writes
        Whether this log will be appended to. Then what a kill tore is cut off on opening, and the caller holds the lock
        of the folder. A log that is only read leaves all files as they are, and may be opened beside one at work.
    """

    def __init__(self, folder: Path, *, writer: str = "0", writes: bool = True) -> None:
        self._folder = folder
        self._path = folder / f"{writer}{SUFFIX}"
        self._places: dict[str, _Place] = {}
        self._earlier: dict[str, list[_Place]] = {}  # of the keys that are there more than once
        for path in sorted(folder.glob(f"*{SUFFIX}"), key=lambda path: (path == self._path, path.name)):
            end = self._index(path)
            if writes and path == self._path and end < path.stat().st_size:
                with naming_what_is_written(path):
                    os.truncate(path, end)

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def get(self, key: str) -> bytes | None:
        """Return the content stored under a key; ``None`` if there is none, or none that is whole."""
        if (latest := self._places.get(key)) is None:
            return None
        places = (latest, *reversed(self._earlier.get(key, [])))
        return next((content for place in places if (content := _content(key, place)) is not None), None)

    def append(self, records: Iterable[tuple[str, bytes]]) -> None:
        """Store contents under their keys; once this returns, all of them survive a kill.

        Raises
        ------
        StorageError
            If they cannot be written; what was stored before is kept, and none of these.
        """
        pairs = [(key, content, _record(key, content)) for key, content in records]
        begin = append(self._path, b"".join(record for _, _, record in pairs))
        for key, content, record in pairs:
            self._note(key, _Place(self._path, begin, len(key.encode()), len(content)))
            begin += len(record)

    def _note(self, key: str, place: _Place) -> None:
        if key in self._places:
            self._earlier.setdefault(key, []).append(self._places[key])
        self._places[key] = place

    def _index(self, path: Path) -> int:
        """Take note of the records in a file; return where the last whole one ends."""
        length = path.stat().st_size
        if not length:
            return 0
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            found = [*_records_of(path, content)]
            # Only the last record can be torn. One that is damaged is not a record either.
            while found and not _is_whole(content, found[-1][1]):
                found.pop()
        for key, place in found:
            self._note(key, place)
        return found[-1][1].end if found else 0


def _content(key: str, place: _Place) -> bytes | None:
    """Return the content of a record; ``None`` if it is damaged, or of another key."""
    try:
        with place.path.open("rb") as stream:
            stream.seek(place.begin)
            record = stream.read(place.end - place.begin)
    except OSError:
        return None
    content = record[_HEADER_LENGTH + place.key_length :]
    return content if record == _record(key, content) else None


def _records_of(path: Path, content: mmap.mmap) -> Iterator[tuple[str, _Place]]:
    """Yield the keys and places of what looks like a record in a file; contents are not looked at."""
    begin = content.find(_MARK)
    while begin >= 0:
        place = _place(path, content, begin)
        if place is None or not (_ends_before_a_mark(content, place) or _is_whole(content, place)):
            # One of its lengths was damaged, or its end is missing: the next mark after this one counts.
            begin = content.find(_MARK, begin + 1)
            continue
        key = content[begin + _HEADER_LENGTH : begin + _HEADER_LENGTH + place.key_length]
        yield key.decode(errors="replace"), place
        begin = content.find(_MARK, place.end)


def _place(path: Path, content: mmap.mmap, begin: int) -> _Place | None:
    """Return the place of the record that begins here; ``None`` if the file ends before it does."""
    if begin + _HEADER_LENGTH > len(content):
        return None
    place = _Place(path, begin, *_LENGTHS.unpack_from(content, begin + len(_MARK)))
    return place if place.end <= len(content) else None


def _ends_before_a_mark(content: mmap.mmap, place: _Place) -> bool:
    """Whether another record, or the torn beginning of one, or nothing follows a record."""
    return _MARK.startswith(content[place.end : place.end + len(_MARK)])


def _is_whole(content: mmap.mmap, place: _Place) -> bool:
    record = content[place.begin : place.end]
    key = record[_HEADER_LENGTH : _HEADER_LENGTH + place.key_length].decode(errors="replace")
    return bool(record == _record(key, record[_HEADER_LENGTH + place.key_length :]))


def _record(key: str, content: bytes) -> bytes:
    """Return the bytes of a record."""
    name = key.encode()
    lengths = _LENGTHS.pack(len(name), len(content))
    digest = hashlib.sha256(lengths)
    digest.update(name)
    digest.update(content)
    return b"".join((_MARK, lengths, digest.digest(), name, content))
