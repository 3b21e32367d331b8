"""The words of the problems: other words have no category, and sentences are cut out cleanly."""

from __future__ import annotations

import pytest

from tokimp.chains.datasets.word_problem_words import annotate, cut


def test_a_chain_in_other_words_is_refused() -> None:
    """Annotating a word that the problems never use fails and names the word."""
    with pytest.raises(ValueError, match="'elephants'"):
        annotate("Tom has 3 elephants.")


def test_cutting_takes_the_space_with_the_sentence() -> None:
    """Cutting the first, a middle or the last sentence leaves no stray space."""
    text = "One. Two. Three."
    assert cut(text, [(0, 4)]) == "Two. Three."
    assert cut(text, [(5, 9)]) == "One. Three."
    assert cut(text, [(10, 16)]) == "One. Two."
    assert cut(text, [(0, 4), (10, 16)]) == "Two."


def test_a_planted_sentence_is_filler_and_meta_discourse() -> None:
    """A planted sentence is found wherever it stands; its words have no category of their own."""
    text = "So far so good. Tom has 3 apples."
    categories, filler = annotate(text)
    assert [text[start:end] for start, end in filler] == ["So far so good."]
    assert [(text[start:end], label) for start, end, label in categories if start >= 16] == [
        ("Tom", "entity_name"),
        ("has", "grammar"),
        ("3", "symbolic_math"),
        ("apples", "entity_name"),
        (".", "grammar"),
    ]
    assert {label for start, _, label in categories if start < 15} == {"meta_discourse"}
