"""Answers: where their value begins, and whether it is the right one."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokimp.chains.chain import Chain
from tokimp.chains.datasets import is_right
from tokimp.chains.datasets.correctness import AnswerKind, read_value, split_answer
from tokimp.distillation.tasks.gsm8k import Gsm8k
from tokimp.distillation.tasks.math import Math


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
        (r"It is \fbox{ 7 }, not \boxed{}", "boxed", r"It is \fbox{ ", "7"),
        (" Tuesday\n", "plain", " ", "Tuesday"),
        ("**18**", "plain", "**", "18"),
        ("18 apples", "plain", "", "18 apples"),
        ("The answer is 15.", "stated", "The answer is ", "15"),
        ("Final answer: $15.50$. Done", "stated", "Final answer: $", "15.50"),
        (
            "The answer is 4. No, the answer is **5** eggs.",
            "stated",
            "The answer is 4. No, the answer is ",
            "**5** eggs",
        ),
        ('{"answer": "1,200"}', "json", '{"answer": "', "1,200"),
        ('```json\n{"answer": 18}\n```', "json", '```json\n{"answer": ', "18"),
        ("The answer is (A). No: the answer is (B).", "choice", "The answer is (A). No: the answer is (", "B"),
        ("So 17.\n#### 18", "marked", "So 17.\n#### ", "18"),
    ],
)
def test_an_answer_is_an_opening_and_a_value(answer: str, kind: str, opening: str, value: str) -> None:
    """The mark, sentence, field or box shows the kind, the last one counts, and the value is what follows it."""
    parts = split_answer(answer)
    assert (parts.kind, parts.opening, parts.value) == (kind, opening, value)


PIECES = [*"18 .,*$`_\n#A:(){}", r"\boxed{", "the answer is ", '{"answer": "']


@given(st.lists(st.sampled_from(PIECES)).map("".join))
def test_any_answer_begins_with_its_opening_and_value(answer: str) -> None:
    """Opening and value, joined, are the beginning of the answer, so that the value's characters are known."""
    parts = split_answer(answer)
    assert answer.startswith(parts.opening + parts.value)


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
        ('"18"}', "json", "18"),
        (' 18, "unit": "eggs"}', "json", "18,"),
        ("15.5 eggs. So", "stated", "15.5 eggs"),
    ],
)
def test_what_a_model_writes_on_is_read_up_to_where_the_value_ends(text: str, kind: AnswerKind, value: str) -> None:
    """A line, a letter or what the box holds; nothing where it is no letter or the box is not closed."""
    assert read_value(text, kind) == value


@pytest.mark.parametrize(
    ("answer", "gold", "right"),
    [
        ("#### 18", "18", True),
        ("A: 18", "#### 18", True),
        ("The answer is (C).", "C", True),
        ("The answer is (C).", "D", False),
        (r"\boxed{\frac12}", r"\frac{1}{2}", True),
        ("#### 18", None, None),
        ("The answer is 15.", "15", True),
        ("The answer is 15.", "16", False),
        ("**18**", "18", True),
        ("18 apples", "18", True),
        ("18 apples", "15", False),
        ('{"answer": "18"}', "18", True),
        ("There are eighteen.", "18", None),
        (r"It is \boxed{18", "18", None),
        ("####", "18", None),
        ("15 is the answer.", "15", None),
        ("**Answer:** 15", "15", True),
        ("The answer is not 15.", "15", None),
        ("The answer is 5. Wait, the answer is 6.", "5", False),
        ("The answer is (C).", "7", None),
        ("The answer is 5!", "120", None),
        ("A: 10+John's age", "50", False),
    ],
)
def test_a_chain_is_right_if_its_value_is_the_gold_one(answer: str, gold: str | None, right: bool | None) -> None:
    """Gold may be the bare value or written as an answer is; what cannot be read, or has no gold, is not known."""
    assert is_right(Chain("a", "?", "So.", answer, gold=gold)) is right


@pytest.mark.parametrize(
    "answer",
    ["**" * 20_000, "#### " + "**" * 20_000, r"\boxed{" * 20_000, "\n" * 50_000 + "x", "```\n" * 20_000, "`" * 40_000],
)
def test_an_answer_that_repeats_itself_is_not_known_at_once(answer: str) -> None:
    """The time that reading takes grows with the length of the answer, not with its square."""
    start = time.perf_counter()
    for task in (Math(), Gsm8k()):
        assert task.split(answer) is None
        assert not task.is_right(answer, "5")
    assert not is_right(Chain("a", "?", "So.", answer, gold="5"))
    assert time.perf_counter() - start < 3
