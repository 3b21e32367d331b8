"""Dotted paths into records."""

from __future__ import annotations

from typing import Any

import pytest

from tokimp.chains.datasets.field_paths import FieldPath, FieldPathError

RECORD: dict[str, Any] = {
    "doc": {"question": "How many?", "n": 7, "none": None, "yes": True, "half": 0.5, "endless": float("inf")},
    "turns": [{"from": "human", "value": "?"}, {"from": "gpt", "value": "7"}, {"from": "gpt", "value": "8"}],
    "steps": ["one", "two"],
    "mixed": ["one", None],
    "a.b": "named with a dot",
    "c.d": "taken twice",
    "c": {"d": "x"},
    "deep": [["response"]],
}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("doc.question", "How many?"),
        ("doc.n", "7"),
        ("doc.half", "0.5"),
        ("doc.none", None),
        ("turns.from=human.value", "?"),
        ("turns.1.value", "7"),
        ("turns.-1.value", "8"),
        ("deep.0.0", "response"),
        ("a.b", "named with a dot"),
        ("steps", "one|two"),
        ("turns.*.value", "?|7|8"),
    ],
)
def test_a_text_is_found(path: str, text: str | None) -> None:
    """Names, places, every entry, and the entry with a value lead to a text; numbers become text; lists are joined."""
    assert FieldPath(path).text_of(RECORD, join="|") == text


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("question", "the record has no field 'question'; its fields are 'doc', 'turns'"),
        ("doc.answer", "'doc' has no field 'answer'; its fields are 'question'"),
        ("doc", "'doc' must be a text, and is an object"),
        ("doc.yes", "is true or false"),
        ("doc.endless", "not finite"),
        ("doc.question.0", "'doc.question' is a text and has no '0'"),
        ("steps", r"is a list; say what its texts are joined by \(join\)"),
        ("steps.7", "'steps' is a list without an entry 7"),
        ("steps.first", "is no place in it; write a number"),
        ("turns.from=gpt.value", "several entries with 'from' equal to 'gpt'"),
        ("turns.from=system.value", "no entry with 'from' equal to 'system'"),
        ("turns.*.text", "'turns.0' has no field 'text'"),
        ("c.d", "is the name of a field, and a path to another"),
    ],
)
def test_what_is_no_text_is_said(path: str, reason: str) -> None:
    """The message says how far the path led, and what stands there."""
    with pytest.raises(FieldPathError, match=reason):
        FieldPath(path).text_of(RECORD)


def test_null_among_joined_texts_is_refused() -> None:
    """A list is joined whole, or not at all."""
    with pytest.raises(FieldPathError, match="an entry of 'mixed' is null"):
        FieldPath("mixed").text_of(RECORD, join="\n")


@pytest.mark.parametrize("path", ["steps", "doc.n", "a.b"])
def test_a_value_is_put_in_a_place(path: str) -> None:
    """The record with another value has it at the path, everything else is the same, and the record stays."""
    before = repr(RECORD)
    changed = FieldPath(path).with_value(RECORD, "new")
    assert FieldPath(path).value(changed) == "new"
    assert repr(RECORD) == before
    assert repr(FieldPath(path).with_value(changed, FieldPath(path).value(RECORD))) == before
