"""Constraints decide about values by type and range, and say in words what they allow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokimp.contracts.constraints import (
    AnyOf,
    Constraint,
    ListOf,
    Number,
    OneOf,
    Optional,
    Text,
    TrueOrFalse,
    WholeNumber,
)

NOT_NUMBERS: list[Any] = [True, False, np.True_, "1", None, [1], 1j, float("nan"), float("inf"), np.float32("nan")]


@pytest.mark.parametrize(
    ("constraint", "allowed", "refused"),
    [
        (Number(), [0, -1.5, np.float32(2), np.int64(3)], NOT_NUMBERS),
        (Number(0, 1), [0, 1, 0.5, np.float64(1)], [-0.1, 1.1, np.float32(-1), *NOT_NUMBERS]),
        (Number(above=0, below=1), [0.5, np.float32(0.5)], [0, 1, 0.0, 1.0]),
        (Number(0, below=1), [0, 0.999], [1, -1e-9]),
        (WholeNumber(), [0, -3, 2**70, np.int8(4), np.uint64(5)], [1.0, 0.5, np.float64(1), *NOT_NUMBERS]),
        (WholeNumber(1), [1, 2, np.int32(1)], [0, -1, np.int32(0)]),
        (WholeNumber(2, 4), [2, 4], [1, 5]),
        (TrueOrFalse(), [True, False, np.True_], [0, 1, "true", None, []]),
        (OneOf("a", "b"), ["a", "b"], ["c", "", "ab", ["a"], None, 1]),
        (Text(), ["a", " "], ["", None, 3, b"a"]),
        (Text(may_be_empty=True), ["", "a"], [None, 0]),
        (ListOf(WholeNumber()), [[], (), [1, 1], range(3), (np.int64(1),)], ["12", 1, None, {1}, [1.5], [True], b"1"]),
        (ListOf(Text(), fewest=2), [["a", "b"], ["a", "a"]], [["a"], [], "ab", ["a", ""]]),
        (ListOf(WholeNumber(), distinct=True), [[1, 0], []], [[1, 1]]),
        (ListOf(Number(), ascending=True), [[0, 0.5, 1], [3], []], [[1, 0], [0, 0]]),
        (ListOf(ListOf(Number()), distinct=True), [[[1], [2]]], [[[1], [1]]]),
        (Optional(WholeNumber(1)), [None, 1], [0, "", False]),
        (AnyOf(WholeNumber(1), Number(above=0, below=1)), [1, 0.5, 7], [0, 1.0, 1.5, True]),
    ],
)
def test_values_are_told_apart(constraint: Constraint, allowed: list[Any], refused: list[Any]) -> None:
    """What is in range and of the right type is allowed, numpy's scalars too; a truth value is never a number."""
    assert [value for value in allowed if not constraint.allows(value)] == []
    assert [value for value in refused if constraint.allows(value)] == []


@pytest.mark.parametrize(
    ("constraint", "words"),
    [
        (Number(), "a number"),
        (Number(0), "a number, 0 or more"),
        (Number(above=0), "a number above 0"),
        (Number(above=0, most=1), "a number above 0 and at most 1"),
        (Number(most=1), "a number at most 1"),
        (WholeNumber(), "a whole number"),
        (WholeNumber(1), "a whole number, 1 or more"),
        (TrueOrFalse(), "true or false"),
        (OneOf("a"), "'a'"),
        (OneOf("a", "b"), "'a' or 'b'"),
        (Text("a folder", may_be_empty=True), "a folder, or an empty text"),
        (ListOf(Number(0, 1), fewest=1), "a list of one or more entries, each a number from 0 to 1"),
        (Optional(Number(above=0)), "a number above 0, or null"),
    ],
)
def test_what_is_allowed_is_said_in_words(constraint: Constraint, words: str) -> None:
    """The words can follow "give" in a message."""
    assert str(constraint) == words


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.complex_numbers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=5,
)


@given(value=anything)
def test_any_object_can_be_asked_about(value: Any) -> None:
    """No value makes a constraint raise; whoever is told no is told by the message alone."""
    for constraint in (
        Number(0, below=1),
        WholeNumber(1),
        TrueOrFalse(),
        OneOf("a", "b"),
        Text(),
        ListOf(Number(), distinct=True),
        ListOf(Number(0), fewest=1, ascending=True),
        Optional(ListOf(Optional(Text()), distinct=True)),
        AnyOf(Text(), Number()),
    ):
        assert constraint.allows(value) in {True, False}


def test_equal_constraints_are_equal() -> None:
    """Constraints compare and hash by what they allow, and cannot be changed."""
    assert OneOf("a", "b") == OneOf("a", "b") != OneOf("b", "a")
    assert len({WholeNumber(1), WholeNumber(1), WholeNumber(2)}) == 2
    with pytest.raises(AttributeError):
        WholeNumber(1).least = 0  # type: ignore[misc] # what is tested
