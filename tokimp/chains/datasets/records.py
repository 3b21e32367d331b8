"""The records of a file of chains, their checked fields, and the base class of the formats that make chains of them."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tokimp.chains.chain import Chain
from tokimp.errors import ChainError


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
        ``file:line``, for messages.
    stem, number
        The file's name without its ending, and the line, from 1; ids are made of them.
    fields
        The object.
    """

    where: str
    stem: str
    number: int
    fields: Mapping[str, Any]

    def error(self, chain_id: str, reason: str) -> ChainError:
        """Return the error that says what is wrong with a chain of this record."""
        return ChainError(f"{_chain_at(self.where, chain_id)}{reason}")

    def text(self, field: str, chain_id: str) -> str:
        """Return a field that must be there and be text."""
        if field not in self.fields:
            known = ", ".join(map(repr, self.fields)) or "none"
            raise self.error(
                chain_id, f"the field {field!r} is missing (fields are {known}); add it, or name the format"
            )
        return self.checked_text(self.fields[field], field, chain_id)

    def optional_text(self, field: str, chain_id: str) -> str | None:
        """Return a field that may be missing or null, and else must be text."""
        value = self.fields.get(field)
        return None if value is None else self.checked_text(value, field, chain_id)

    def checked_text(self, value: object, name: str, chain_id: str) -> str:
        """Return `value` if it is text that can be encoded."""
        if not isinstance(value, str):
            shown = json.dumps(value, default=repr)[:60]
            raise self.error(chain_id, f"{name!r} must be text, not {type(value).__name__}: write {shown} as a string")
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


def read_records(path: Path, skips: Skips) -> Iterator[Record]:
    """Yield the objects of a JSONL file; empty lines are ignored.

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
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if not any(line.strip() for line in lines):
        raise ChainError(f"{path}: the file is empty; it must hold one JSON object a line")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            yield Record(where, path.stem, number, _parse(line, where))
        except ChainError as error:
            skips.take(error, where)


def _parse(line: bytes, where: str) -> dict[str, Any]:
    def once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        for key, value in pairs:
            if key in fields:
                raise ChainError(f"{where}: the key {key!r} stands twice in one object; leave one out")
            fields[key] = value
        return fields

    try:
        value = json.loads(line.decode(), object_pairs_hook=once_each)
    except UnicodeDecodeError as error:
        raise ChainError(f"{where}: not UTF-8 at byte {error.start}; save the file as UTF-8") from error
    except (json.JSONDecodeError, RecursionError) as error:
        raise ChainError(f"{where}: not JSON ({error}); each line must be one JSON object") from error
    # Python limits the digits of an integer that it reads, against inputs made to take long.
    except ValueError as error:
        raise ChainError(f"{where}: a number has more digits than can be read; write it as text") from error
    if not isinstance(value, dict):
        raise ChainError(f"{where}: not a JSON object but {type(value).__name__}; each line must be one object")
    return value
