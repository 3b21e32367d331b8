"""Answers: where their value begins, and when two values are the same."""

from __future__ import annotations

import threading

import pytest

from tokimp.chains.chain import Chain
from tokimp.chains.datasets import is_right
from tokimp.chains.datasets.correctness import AnswerKind, read_value, same_value, split_answer


@pytest.mark.parametrize(
    ("answer", "kind", "opening", "value"),
    [
        ("#### 18", "marked", "#### ", "18"),
        ("A: 1,200\nQ: next", "marked", "A: ", "1,200"),
        ("####18", "marked", "####", "18"),
        ("Thus the answer is (J). Done.", "choice", "Thus the answer is (", "J"),
        (r"It is $\boxed{\frac{1}{2}}$.", "boxed", r"It is $\boxed{", r"\frac{1}{2}"),
        (r"First \boxed{1}, then \boxed{2}", "boxed", r"First \boxed{1}, then \boxed{", "2"),
        (r"\boxed{never closed", "boxed", r"\boxed{", ""),
        (" Tuesday\n", "plain", "", "Tuesday"),
    ],
)
def test_an_answer_is_an_opening_and_a_value(answer: str, kind: str, opening: str, value: str) -> None:
    """The mark, sentence or box that comes first shows the kind; the value is what follows it."""
    parts = split_answer(answer)
    assert (parts.kind, parts.opening, parts.value) == (kind, opening, value)


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        (" 18\n\nQuestion: what else", "marked", "18"),
        ("\n\n18 eggs", "plain", "18 eggs"),
        ("B) is right", "choice", "B"),
        (" (C", "choice", "C"),
        ("Because", "choice", ""),
        ("because", "choice", ""),
        (r"\frac{1}{2}}. And", "boxed", r"\frac{1}{2}"),
        ("12", "boxed", ""),
        ("", "marked", ""),
    ],
)
def test_what_a_model_writes_on_is_read_up_to_where_the_value_ends(text: str, kind: AnswerKind, value: str) -> None:
    """A line, a letter or what the box holds; nothing where it is no letter or the box is not closed."""
    assert read_value(text, kind) == value


@pytest.mark.parametrize(
    ("given", "right", "same"),
    [
        ("4,800", "4800.0", True),
        ("$18", "18.", True),
        ("50%", "50", True),
        ("18", "19", False),
        (r"\frac{1}{2}", "0.5", True),
        (r"3\sqrt{2}", r"\sqrt{18}", True),
        ("x+1", "1 + x", True),
        ("(2, 3)", "(2,3)", True),
        ("(2, 3)", "(3, 2)", False),
        ("Tuesday", "tuesday", True),
        # As products of letters these would be equal.
        ("listen", "silent", False),
        ("5 eggs", "5", False),
        ("", "", False),
        ("", "5", False),
        ("1" * 400 + "x", "2", False),
    ],
)
def test_values_are_the_same_by_number_expression_or_text(given: str, right: str, same: bool) -> None:
    """Numbers are compared by value, expressions by what they mean, texts as texts; nothing equals nothing."""
    assert same_value(given, right) is same
    assert same_value(right, given) is same


def test_letters_are_compared_as_letters() -> None:
    """A choice is the same in either case, and I is no number or unit."""
    assert same_value("b", "B", "choice")
    assert not same_value("I", "J", "choice")


def test_expressions_are_compared_in_any_thread() -> None:
    """The library's time limit needs the main thread; elsewhere there is none, and the verdict is the same."""
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(same_value(r"\frac{3}{4}", "0.75")))
    thread.start()
    thread.join()
    assert answers == [True]


@pytest.mark.parametrize(
    ("answer", "gold", "right"),
    [
        ("#### 18", "18", True),
        ("A: 18", "#### 18", True),
        ("The answer is (C).", "C", True),
        ("The answer is (C).", "D", False),
        (r"\boxed{\frac12}", r"\frac{1}{2}", True),
        ("#### 18", None, None),
    ],
)
def test_a_chain_is_right_if_its_value_is_the_gold_one(answer: str, gold: str | None, right: bool | None) -> None:
    """Gold may be the bare value or written as an answer is; without it nothing is known."""
    assert is_right(Chain("a", "?", "So.", answer, gold=gold)) is right
