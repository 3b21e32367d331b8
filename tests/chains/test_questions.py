"""Which chains answer the same question: text counts, white space does not, and no question is none in common."""

from __future__ import annotations

import pytest

from tokimp.chains.questions import question_key, question_numbers


def test_questions_are_numbered_in_the_order_in_which_they_first_occur() -> None:
    """Chains of one question share its number, however its words are spaced; others get the next one."""
    questions = ["How many?", "Why?", "How\n many? ", "When?", "Why?"]
    assert question_numbers(questions, list("abcde")).tolist() == [0, 1, 0, 2, 1]


def test_chains_without_a_question_have_none_in_common() -> None:
    """An empty question, or one of white space, is another one for each chain, even if a text equals the other's id."""
    assert question_numbers(["", " \n", "", "c"], list("abcd")).tolist() == [0, 1, 2, 3]
    assert question_key("", "c") != question_key("c", "d")


def test_case_and_punctuation_count() -> None:
    """Only white space is ignored."""
    keys = {question_key(question, "x") for question in ("How many?", "how many?", "How many", "Howmany?")}
    assert len(keys) == 4


def test_questions_and_ids_go_in_pairs() -> None:
    """Another number of ids than of questions is an error."""
    with pytest.raises(ValueError, match="zip"):
        question_numbers(["a", "b"], ["1"])
