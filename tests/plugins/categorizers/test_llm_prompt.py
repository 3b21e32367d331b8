"""What a language model is asked and told, and which answers are taken."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokimp_categorizers.llm_prompt import LABELS, AnswerError, correction, messages, read_labels
from tokimp_categorizers.words import find_words


@given(st.lists(st.sampled_from(LABELS), min_size=1, max_size=12), st.randoms())
def test_labels_are_read_whatever_their_order(labels: list[str], shuffle: Any) -> None:
    """Each number once, in any order, with or without a fence, gives the labels in the words' order."""
    pairs = [(str(number), label) for number, label in enumerate(labels, start=1)]
    shuffle.shuffle(pairs)
    text = json.dumps(dict(pairs))
    assert read_labels(text, len(labels)) == labels
    assert read_labels(f"```\n{text}\n```", len(labels)) == labels


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("", "not one JSON object"),
        ("[" * 100_000, "not one JSON object"),
        ("[]", "not a JSON object"),
        ('{"1": "grammar"} and {"2": "grammar"}', "not one JSON object"),
        ('{"1": "grammar", "1": "other", "2": "other"}', "word 1 has two labels"),
        ('{"1": "grammar", "2": "noun"}', "word 2 has 'noun'"),
        ('{"1": "grammar", "2": ["other"]}', "word 2 has"),
        ('{"1": "grammar", "2": "other", "3": "other"}', "no word '3'"),
        ('{"2": "other"}', "1 words have no label, the first of them word 1"),
    ],
)
def test_answers_that_do_not_fit_say_why(answer: str, problem: str) -> None:
    """What is told the model names the word and the trouble."""
    with pytest.raises(AnswerError, match=problem):
        read_labels(answer, 2)


def test_the_worked_example_is_itself_right() -> None:
    """The answer shown to the model fits the check that its own answers have to pass."""
    example, answer, asked = (message["content"] for message in messages("?", "", "a b", "", ["a", "b"]))
    given = json.loads(example[example.index('{"question"') :])
    assert [word for _, _, word in find_words(given["passage"])] == list(given["words"].values())
    assert len(read_labels(answer, len(given["words"]))) == 16
    assert json.loads(asked)["words"] == {"1": "a", "2": "b"}


def test_a_model_is_shown_its_answer_without_its_thoughts() -> None:
    """Thoughts before an answer are left out of the next request, as chat templates leave out earlier ones."""
    shown, told = correction("<think>long</think>\n{}", "it is empty")
    assert shown == {"role": "assistant", "content": "{}"}
    assert "it is empty" in told["content"]
