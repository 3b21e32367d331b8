"""Chains from records of any layout: which field holds what is said by the caller, and nothing is guessed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from tokimp.chains.chain import Chain
from tokimp.chains.datasets.field_paths import FieldPath, FieldPathError
from tokimp.chains.datasets.records import ID_DIGITS, ChainFormat, Record
from tokimp.chains.datasets.response_splits import RESPONSE_SPLITS, ResponseSplit, compiled, split_response
from tokimp.chains.think_tags import inside_think_tags
from tokimp.errors import ChainError

_TEXTS = ("question", "reasoning", "answer", "gold", "system", "wrong_answer", "id", "each")


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldMap:
    r"""Which fields of a record hold a chain's texts, as dotted paths (`tokimp.chains.datasets.field_paths.FieldPath`).

    Either `answer` or `split` is given: the answer stands in a field of its own, or after the reasoning in the same.

    Attributes
    ----------
    question, reasoning
        The two texts. With `split`, `reasoning` is the whole response.
    answer
        The answer.
    gold, system, wrong_answer
        As of a `tokimp.Chain`. Each record must have a field that is named here; null in it means that there is none.
    id
        The chain's id, a text or a number. Without it, a chain is called ``chain-`` and ten digits made of its
        question, reasoning and answer: it has the same id in whichever file it stands.
    each
        A field with a list, of which every entry makes a chain (several responses to one question). Within the other
        paths, the field then stands for one entry. An `id` gets the number of the entry, from 1: ``7-2``.
    join
        What the texts of a list are joined by, where a field is a list of steps: ``"\n"``.
    split
        How a response is divided into reasoning and answer: ``think``, ``last-sentence``, ``last-line`` or ``regex``
        (`tokimp.chains.datasets.response_splits.split_response`).
    pattern
        For the split ``regex``: where the answer begins.

    Raises
    ------
    ChainError
        If a path is empty, `answer` and `split` are both given or both missing, or the pattern is no regular
        expression.
    """

    question: str
    reasoning: str
    answer: str | None = None
    gold: str | None = None
    system: str | None = None
    wrong_answer: str | None = None
    id: str | None = None
    each: str | None = None
    join: str | None = None
    split: ResponseSplit | None = None
    pattern: str | None = None

    def __post_init__(self) -> None:
        for name in _TEXTS:
            path = getattr(self, name)
            if path is not None and (not isinstance(path, str) or not all(path.split("."))):
                raise ChainError(f"fields: {name}={path!r} is no path; give the name of a field, or names with dots")
        if (self.answer is None) == (self.split is None):
            raise ChainError(
                "fields: give either the field of the answer, or how the reasoning's field is split into reasoning and "
                f"answer ({', '.join(RESPONSE_SPLITS)})"
            )
        if self.split is not None and self.split not in RESPONSE_SPLITS:
            raise ChainError(f"fields: there is no split {self.split!r}; splits are {', '.join(RESPONSE_SPLITS)}")
        if (self.split == "regex") != (self.pattern is not None):
            raise ChainError("fields: a pattern belongs to the split 'regex', and to no other")
        if self.pattern is not None:
            try:
                compiled(self.pattern)
            except ValueError as error:
                raise ChainError(f"fields: {error}") from error

    @staticmethod
    def of(given: FieldMap | Mapping[str, Any]) -> FieldMap:
        """Return a map for one that is given as a plain mapping; raise `ChainError` for an unknown or missing name."""
        if isinstance(given, FieldMap):
            return given
        known = [field.name for field in fields(FieldMap)]
        if unknown := [name for name in given if name not in known]:
            raise ChainError(f"fields: there is no {unknown[0]!r}; there are {', '.join(known)}")
        if missing := [name for name in ("question", "reasoning") if name not in given]:
            raise ChainError(f"fields: {missing[0]!r} is missing; name the field that holds it")
        return FieldMap(**given)


class MappedFields(ChainFormat):
    """Records of any layout, read by a `FieldMap`.

    Thinking tags around a reasoning that has a field of its own are taken off, as in tokimp's own format.
    """

    name = "fields"
    own_id = "the same question, reasoning and answer (or the same id) stand there: leave one out"

    def __init__(self, places: FieldMap) -> None:
        self._places = places

    def recognises(self, fields: Mapping[str, Any]) -> bool:
        """No record shows by itself that it is to be read so."""
        return False

    def parts(self, record: Record) -> Sequence[str]:
        """Return the number of each entry of the field `FieldMap.each`, from 1."""
        if self._places.each is None:
            return ("",)
        try:
            entries = FieldPath(self._places.each).value(record.fields)
        except FieldPathError:
            entries = None
        # What is no list, or an empty one, is one part, whose chain says so.
        return [str(number) for number in range(1, len(entries) + 1)] if isinstance(entries, list) and entries else "1"

    def chain_id(self, record: Record, part: str) -> str:
        """Return the id if the record has a field for it; one that is made of the texts is not known before them."""
        if self._places.id is None:
            return ""
        try:
            named = FieldPath(self._places.id).text_of(record.fields)
        except FieldPathError:
            return ""
        return "" if not named else f"{named}-{part}" if part else named

    def chain(self, record: Record, part: str, *, keep_calculator: bool) -> Chain:
        """Return the chain of a record or, with `FieldMap.each`, of one entry of it."""
        chain_id, places = self.chain_id(record, part), self._places
        try:
            row = record if places.each is None else _entry(record, FieldPath(places.each), int(part))
        except FieldPathError as error:
            raise record.error(chain_id, str(error)) from error
        if places.id is not None and not record.checked_text(chain_id, places.id, chain_id):
            self._text(row, "id", chain_id)
        question = self._text(row, "question", chain_id)
        reasoning = self._text(row, "reasoning", chain_id)
        if places.split is None:
            answer = self._text(row, "answer", chain_id)
            start, end = inside_think_tags(reasoning)
            reasoning = reasoning[start:end]
        else:
            try:
                reasoning, answer = split_response(reasoning, places.split, places.pattern)
            except ValueError as error:
                raise record.error(chain_id, f"the response cannot be split ({places.split}): {error}") from error
        return Chain(
            id=chain_id or _digest_id(question, reasoning, answer),
            question=question,
            reasoning=reasoning,
            answer=answer,
            gold=self._optional(row, "gold", chain_id),
            system=self._optional(row, "system", chain_id),
            wrong_answer=self._optional(row, "wrong_answer", chain_id),
            source=record.where,
        )

    def _text(self, record: Record, what: str, chain_id: str) -> str:
        text = self._optional(record, what, chain_id)
        if text is None or (what == "id" and not text):
            raise record.error(chain_id, f"{getattr(self._places, what)!r}, named for the {what}, is empty")
        return text

    def _optional(self, record: Record, what: str, chain_id: str) -> str | None:
        path: str | None = getattr(self._places, what)
        if path is None:
            return None
        try:
            text = FieldPath(path).text_of(record.fields, self._places.join)
        except FieldPathError as error:
            raise record.error(chain_id, f"the {what}: {error}") from error
        return None if text is None else record.checked_text(text, path, chain_id)


def _entry(record: Record, each: FieldPath, number: int) -> Record:
    entries = each.value(record.fields)
    if not isinstance(entries, list):
        raise FieldPathError(f"{each.text!r} is no list, and every entry of it is to make a chain")
    if not entries:
        raise FieldPathError(f"{each.text!r} is an empty list, which makes no chain")
    return Record(record.where, each.with_value(record.fields, entries[number - 1]))


def _digest_id(*texts: str) -> str:
    return f"chain-{hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:ID_DIGITS]}"
