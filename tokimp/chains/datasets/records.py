"""The records of a file of chains, their checked fields, and the base class of the formats that make chains of them."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tokimp.chains.chain import Chain
from tokimp.errors import ChainError

# Two of 10,000 different records share an id of so many hexadecimal digits in one of 20,000 files.
_ID_DIGITS = 10


@dataclass(frozen=True, slots=True)
class SkippedRecord:
    """A record that was left out: where it stands (``file:line``), its id if known, and the reason."""

    where: str
    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Record:
    """One JSON object of a file, or one row of a data set.

    Attributes
    ----------
    where
        ``file:line``, for messages; ``file[3]`` for the third object of a file that is one list.
    fields
        The object.
    """

    where: str
    fields: Mapping[str, Any]

    def error(self, chain_id: str, reason: str) -> ChainError:
        """Return the error that says what is wrong with a chain of this record."""
        return ChainError(f"{_chain_at(self.where, chain_id)}{reason}")

    def id_of_content(self, prefix: str, *fields: str) -> str:
        """Return an id made of a digest of some fields: a record has the same id in whichever file it stands.

        A field that is missing, or no text, counts as an empty one.
        """
        texts = [value.strip() if isinstance(value := self.fields.get(field), str) else "" for field in fields]
        digest = hashlib.sha256(json.dumps(texts).encode()).hexdigest()
        return f"{prefix}-{digest[:_ID_DIGITS]}"

    def text(self, field: str, chain_id: str) -> str:
        """Return a field that must be there and be text."""
        if field not in self.fields:
            known = ", ".join(map(repr, self.fields)) or "none"
            raise self.error(
                chain_id, f"the field {field!r} is missing (fields are {known}); add it (or name the format: --format)"
            )
        return self.checked_text(self.fields[field], field, chain_id)

    def optional_text(self, field: str, chain_id: str) -> str | None:
        """Return a field that may be missing or null, and else must be text."""
        value = self.fields.get(field)
        return None if value is None else self.checked_text(value, field, chain_id)

    def checked_text(self, value: object, name: str, chain_id: str) -> str:
        """Return `value` if it is text that can be encoded."""
        if not isinstance(value, str):
            raise self.error(chain_id, f"{name!r} must be text, {_not_text(value)}")
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise self.error(
                chain_id, f"{name!r} holds half a surrogate pair at character {error.start}; repair the text"
            ) from error
        return value


class ChainFormat(ABC):
    """Turns records of one layout into chains; a record may hold several (`parts`)."""

    name: ClassVar[str]
    own_id: ClassVar[str] = "give every chain an id of its own"
    """What to do about two chains with one id."""

    @abstractmethod
    def recognises(self, fields: Mapping[str, Any]) -> bool:
        """Whether an object's fields are those of this format, and of no other."""

    def parts(self, record: Record) -> Sequence[str]:
        """Return the names of the chains in a record."""
        return ("",)

    @abstractmethod
    def chain_id(self, record: Record, part: str) -> str:
        """Return the id of a chain, or an empty text if the record does not tell it; never raises."""

    @abstractmethod
    def chain(self, record: Record, part: str, *, keep_calculator: bool) -> Chain:
        """Return a chain; raise `ChainError` if the record is not one."""


class Skips:
    """Raises the `ChainError` of each record that cannot be used or, if there is a list, appends the record to it."""

    def __init__(self, skipped: list[SkippedRecord] | None) -> None:
        self._skipped = skipped

    def take(self, error: ChainError, where: str, chain_id: str = "") -> None:
        """Raise the error, or note it."""
        if self._skipped is None:
            raise error
        reason = str(error).removeprefix(_chain_at(where, chain_id)).removeprefix(f"{where}: ")
        self._skipped.append(SkippedRecord(where, chain_id, reason))


def _chain_at(where: str, chain_id: str) -> str:
    return f"{where}: chain {chain_id!r}: " if chain_id else f"{where}: "


def _not_text(value: object) -> str:
    """Return what a value is that should be text, and what to do about it."""
    if value is None:
        return "and is null: write the text, or leave the record out"
    if isinstance(value, list):
        return f"and is a list of {len(value)}: write its parts as one text"
    if isinstance(value, dict):
        return f"and is an object (with {', '.join(map(repr, list(value)[:5])) or 'no fields'}): write one text instead"
    shown = json.dumps(value, default=repr)[:60]
    return f"not {type(value).__name__}: write {shown} as a string"


def _kind(value: object) -> str:
    """Return what JSON calls a value that is no object."""
    names = {type(None): "null", bool: "true or false", str: "a text", list: "a list"}
    return names.get(type(value), "a number")


# Files of other kinds, by their first bytes, with what makes a JSONL file of them.
_KINDS = {
    b"\x1f\x8b": ("compressed with gzip", "unpack it (gunzip)"),
    b"BZh": ("compressed with bzip2", "unpack it (bunzip2)"),
    b"\xfd7zXZ\x00": ("compressed with xz", "unpack it (unxz)"),
    b"\x28\xb5\x2f\xfd": ("compressed with zstd", "unpack it (unzstd)"),
    b"PK\x03\x04": ("a zip archive", "unpack it (unzip)"),
    b"PAR1": ("a Parquet file", "write it as JSONL (datasets.load_dataset, then to_json)"),
    b"ARROW1": ("an Arrow file", "write it as JSONL (datasets.load_dataset, then to_json)"),
    b"\x89HDF": ("an HDF5 or netCDF file", "give a file of chains; tokimp analyze and tokimp prune --run read results"),
    b"SQLite format 3": ("an SQLite database", "write its rows as JSONL"),
    b"\xff\xfe": ("UTF-16", "save it as UTF-8"),
    b"\xfe\xff": ("UTF-16", "save it as UTF-8"),
}


def _check_kind(content: bytes, path: Path) -> None:
    for mark, (kind, remedy) in _KINDS.items():
        if content.startswith(mark):
            raise ChainError(f"{path}: the file is {kind}, and JSONL in UTF-8 is read: {remedy}, and give that file")


def read_records(path: Path, skips: Skips) -> Iterator[Record]:
    """Yield the objects of a JSONL file, or of a file that is one JSON list of objects; empty lines are ignored.

    Raises
    ------
    ChainError
        If the file is missing, not a file or holds no record. For a line that is not UTF-8, not JSON, not an
        object or has a key twice, unless `skips` takes it.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ChainError(f"{path}: the file cannot be read ({error.strerror}); check the path") from error
    _check_kind(content, path)
    content = content.removeprefix(b"\xef\xbb\xbf")
    # A list of one line may also be a line of JSONL that is wrong; both are read as a list.
    if content.lstrip()[:1] == b"[":
        yield from _records_of_list(content, path, skips)
        return
    lines = content.split(b"\n")
    if not any(line.strip() for line in lines):
        raise ChainError(f"{path}: the file is empty; it must hold one JSON object a line")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            yield Record(where, _parse(line, where))
        except ChainError as error:
            skips.take(error, where)


def _records_of_list(content: bytes, path: Path, skips: Skips) -> Iterator[Record]:
    """Yield the objects of a file that is one JSON list, as MMLU-Pro publishes models' outputs."""
    values = _parsed(content, str(path), "the file must be one JSON list of objects, or one JSON object a line")
    if not values:
        raise ChainError(f"{path}: the list is empty; it must hold one object a chain")
    for number, value in enumerate(values, start=1):
        where = f"{path}[{number}]"
        if isinstance(value, dict):
            yield Record(where, value)
        else:
            error = ChainError(f"{where}: not a JSON object but {_kind(value)}; the list must hold objects")
            skips.take(error, where)


def _parse(line: bytes, where: str) -> dict[str, Any]:
    value = _parsed(line, where, "each line must be one JSON object")
    if not isinstance(value, dict):
        raise ChainError(f"{where}: not a JSON object but {_kind(value)}; each line must be one object")
    return value


def _parsed(text: bytes, where: str, expected: str) -> Any:
    def once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        for key, value in pairs:
            if key in fields:
                raise ChainError(f"{where}: the key {key!r} stands twice in one object; leave one out")
            fields[key] = value
        return fields

    try:
        return json.loads(text.decode(), object_pairs_hook=once_each)
    except UnicodeDecodeError as error:
        raise ChainError(f"{where}: not UTF-8 at byte {error.start}; save the file as UTF-8") from error
    except (json.JSONDecodeError, RecursionError) as error:
        raise ChainError(f"{where}: not JSON ({error}); {expected}") from error
    # Python limits the digits of an integer that it reads, against inputs made to take long.
    except ValueError as error:
        raise ChainError(f"{where}: a number has more digits than can be read; write it as text") from error
