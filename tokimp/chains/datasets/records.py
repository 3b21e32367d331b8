"""The records of a file of chains, their checked fields, and the base class of the formats that make chains of them."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from tokimp.chains.chain import Chain
from tokimp.errors import ChainError

# Two of 10,000 different records share an id of so many hexadecimal digits in one of 20,000 files.
ID_DIGITS = 10


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
        return f"{prefix}-{digest[:ID_DIGITS]}"

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
