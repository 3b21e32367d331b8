"""Where a text stands in a record: a dotted path through its objects and lists."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_PLACE = re.compile(r"-?\d+")
_EVERY = "*"


class FieldPathError(ValueError):
    """A record has nothing at a path, or nothing that is a text."""


@dataclass(frozen=True, slots=True)
class FieldPath:
    """A dotted path to a value of a record.

    Its steps are, between dots:

    - a name: the field of an object
    - a number: the entry of a list, from 0; ``-1`` is the last
    - ``*``: every entry of a list; what comes after is looked for in each
    - ``name=value``: the one entry of a list whose field `name` is the text `value`

    A field of the record whose name is the whole path, dots included, is taken as it is.

    >>> FieldPath("messages.role=assistant.content").value({"messages": [{"role": "assistant", "content": "7"}]})
    '7'
    """

    text: str

    def value(self, fields: Mapping[str, Any]) -> Any:
        """Return the value at the path.

        Raises
        ------
        FieldPathError
            If there is none, if several entries have the wanted text, or if the path can be read in two ways.
        """
        if self.text not in fields or "." not in self.text:
            return _follow(fields, self.text.split("."), [])
        try:
            _follow(fields, self.text.split("."), [])
        except FieldPathError:
            return fields[self.text]
        raise FieldPathError(f"{self.text!r} is the name of a field, and a path to another; rename the field")

    def with_value(self, fields: Mapping[str, Any], value: Any) -> dict[str, Any]:
        """Return the record with another value at the path, whose steps are all names."""
        name, _, rest = self.text.partition(".")
        if self.text in fields or not rest:
            return {**fields, self.text: value}
        return {**fields, name: FieldPath(rest).with_value(fields[name], value)}

    def text_of(self, fields: Mapping[str, Any], join: str | None = None) -> str | None:
        """Return the text at the path; ``None`` if null stands there.

        A number is written as JSON writes it. Texts of a list are joined by `join`.

        Raises
        ------
        FieldPathError
            If there is no text: nothing at all, an object, true or false, or a list where `join` is not given.
        """
        value = self.value(fields)
        if isinstance(value, list) and join is not None:
            entries = [_text(entry, f"{self.text}[{place}]") for place, entry in enumerate(value)]
            if None in entries:
                raise FieldPathError(f"an entry of {self.text!r} is null, and entries are joined")
            return join.join(entry for entry in entries if entry is not None)
        return _text(value, self.text)


def _follow(value: Any, steps: list[str], taken: list[str]) -> Any:
    if not steps:
        return value
    step, *rest = steps
    here = repr(".".join(taken)) if taken else "the record"
    if isinstance(value, Mapping):
        if step not in value:
            raise FieldPathError(
                f"{here} has no field {step!r}; its fields are {', '.join(map(repr, value)) or 'none'}"
            )
        return _follow(value[step], rest, [*taken, step])
    if not isinstance(value, list):
        raise FieldPathError(f"{here} is {_kind(value)} and has no {step!r}")
    if step == _EVERY:
        return [_follow(entry, rest, [*taken, str(place)]) for place, entry in enumerate(value)]
    name, equals, wanted = step.partition("=")
    if equals:
        found = [place for place, entry in enumerate(value) if isinstance(entry, Mapping) and entry.get(name) == wanted]
        if len(found) != 1:
            number = "no entry" if not found else "several entries"
            raise FieldPathError(f"{here} has {number} with {name!r} equal to {wanted!r}; name one by its place")
        return _follow(value[found[0]], rest, [*taken, str(found[0])])
    if not _PLACE.fullmatch(step):
        raise FieldPathError(f"{here} is a list, and {step!r} is no place in it; write a number, * or name=value")
    if not -len(value) <= int(step) < len(value):
        raise FieldPathError(f"{here} is a list without an entry {step}")
    return _follow(value[int(step)], rest, [*taken, step])


def _text(value: Any, name: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        if isinstance(value, float) and not math.isfinite(value):
            raise FieldPathError(f"{name!r} is a number that is not finite; write it as text")
        return json.dumps(value)
    advice = "; say what its texts are joined by (join)" if isinstance(value, list) else ""
    raise FieldPathError(f"{name!r} must be a text, and is {_kind(value)}{advice}")


def _kind(value: Any) -> str:
    if isinstance(value, Mapping):
        return "an object"
    kinds = {type(None): "null", bool: "true or false", str: "a text", list: "a list"}
    return kinds.get(type(value), f"a number ({type(value).__name__})" if isinstance(value, int | float) else "a value")
