"""Fields that pydantic checks: what each may hold, and the message about one that holds something else."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, get_args, get_type_hints

import numpy as np
from pydantic import ConfigDict, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, PydanticCustomError, core_schema
from typing_extensions import is_typeddict

from tokimp.contracts.constraints import Constraint
from tokimp.errors import TokimpError, did_you_mean

KNOWN_FIELDS_ONLY = ConfigDict(extra="forbid")
"""The configuration of a pydantic dataclass or a ``TypedDict`` that refuses unknown fields."""
_UNKNOWN = {"extra_forbidden", "unexpected_keyword_argument"}
_NO_MAPPING = {"dataclass_type", "dict_type"}
_NO_ENTRIES = {"tuple_type", "too_short"}
_MISSING = {"missing", "missing_argument"}

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Allowed:
    """Lets a field hold what a constraint allows: ``Annotated[int, Allowed(WholeNumber(1))]``.

    Values stay as they are (3 does not become 3.0), except numpy's scalars, which become Python's, as JSON needs.

    Attributes
    ----------
    constraint
        Decides, and says in the message what is allowed.
    hint
        What the message adds, if anything.
    """

    constraint: Constraint
    hint: str = ""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Give pydantic the check, in the place of the one it would make of the field's type."""
        return core_schema.no_info_plain_validator_function(self._check)

    def _check(self, value: Any) -> Any:
        if not self.constraint.allows(value):
            raise PydanticCustomError("not_allowed", "{allowed}", {"allowed": f"{self.constraint}{self.hint}"})
        return value.item() if isinstance(value, np.generic) else value


def raises(error: type[TokimpError]) -> Callable[[type[T]], type[T]]:
    """Let a pydantic dataclass that is made in Python raise an error of tokimp's, with the message of `mistake_in`.

    Where pydantic makes it as a part of something larger, it does not call ``__init__``, and the mistake becomes one of
    the larger thing's.
    """

    def decorate(kind: type[T]) -> type[T]:
        checked_init = kind.__init__

        @functools.wraps(checked_init)
        def init(self: T, *arguments: Any, **values: Any) -> None:
            try:
                checked_init(self, *arguments, **values)
            except ValidationError as mistakes:
                raise error(mistake_in(mistakes, kind)) from mistakes

        kind.__init__ = init  # type: ignore[method-assign,assignment] # there is no other way around pydantic's own
        return kind

    return decorate


def mistake_in(mistakes: ValidationError, kind: type, key: str = "") -> str:
    """Return the message about the first mistake: its place, the value, and what is allowed there.

    Parameters
    ----------
    mistakes
        What pydantic found.
    kind
        The pydantic dataclass that was to be made.
    key
        The key under which its fields stand in a file, if any.
    """
    # A misspelt key comes first: it is often the very key that is missing.
    first = min(mistakes.errors(include_url=False), key=lambda mistake: mistake["type"] not in _UNKNOWN)
    place = _place(key, first["loc"])
    reason, value, context = first["type"], first["input"], first.get("ctx", {})
    if reason in _UNKNOWN:
        known = _keys(_kind_at(kind, first["loc"][:-1]))
        return f"{place} is not a known key{did_you_mean(first['loc'][-1], known)}; known here: {', '.join(known)}"
    if reason in _MISSING:
        needed = ", ".join(_needed_keys(_kind_at(kind, first["loc"][:-1])))
        return f"{place} is missing; needed here: {needed}"
    if reason in _NO_MAPPING:
        keys = ", ".join(_keys(_kind_at(kind, first["loc"])))
        return f"{place} must hold keys and values, not {value!r}; keys are {keys}".lstrip()
    if reason in _NO_ENTRIES:
        return f"{place} must be a list with at least one entry, not {value!r}"
    if reason == "value_error":
        return f"{place}: {context['error']}" if place else str(context["error"])
    allowed = {"not_allowed": "allowed", "literal_error": "expected"}.get(reason)
    return f"{place} is {value!r}; {f'give {context[allowed]}' if allowed else first['msg']}"


def _place(key: str, parts: Sequence[str | int]) -> str:
    """Return where a value stands, as one would write it in Python: ``teachers[0].model``."""
    return (key + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)).lstrip(".")


def _kind_at(kind: type, parts: Sequence[str | int]) -> type:
    """Return the class whose fields stand at a place; names that are no field's, such as a list's, are passed over."""
    for part in parts:
        inner = _class_with_fields(get_type_hints(kind).get(str(part)))
        kind = kind if inner is None else inner
    return kind


def _class_with_fields(hint: Any) -> type | None:
    if dataclasses.is_dataclass(hint) or is_typeddict(hint):
        return hint  # type: ignore[no-any-return] # both are classes here
    return next((inner for inner in map(_class_with_fields, get_args(hint)) if inner is not None), None)


def _keys(kind: type) -> list[str]:
    return list(get_type_hints(kind))


def _needed_keys(kind: Any) -> list[str]:
    fields = dataclasses.fields(kind)
    return [
        field.name
        for field in fields
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
