"""The part of an answer that precedes its value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tokimp.analysis.answer_recovery.opening import find_opening
from tokimp.chains.datasets.correctness import split_answer
from tokimp.errors import AnalysisError
from tokimp.testing import AdditiveScorer, toy_chain


@pytest.mark.parametrize(
    ("answer", "opening"),
    [
        ("#### 7", "#### "),
        ("The answer is (B).", "The answer is ("),
        (r"So \boxed{\pi} it is", r"So \boxed{"),
        ("seven", ""),
        ("  #### 7", "  #### "),
    ],
)
def test_the_opening_is_all_that_stands_before_the_value(answer: str, opening: str) -> None:
    """A mark, a choice's sentence or the begin of a box is given; of a plain answer nothing is."""
    chain = toy_chain("abc", answer=answer)
    begin = find_opening(chain, AdditiveScorer().tokenizer, split_answer(answer))
    assert "".join(map(chr, begin.ids)) == opening
    assert begin.rest == ""


class PairTokenizer:
    """Two characters are a token."""

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids."""
        return "".join(chr(i // 1000) + (chr(i % 1000) if i % 1000 else "") for i in ids)


def test_a_token_that_holds_the_value_is_left_to_the_model() -> None:
    """What of the opening shares a token with the value is written by the model, and taken off again."""
    text = r"\boxed{5}"
    pairs = tuple(ord(a) * 1000 + (ord(b) if b else 0) for a, b in zip(text[::2], [*text[1::2], ""], strict=True))
    chain = replace(toy_chain("x", answer=text), answer_ids=pairs, reasoning_ids=(ord("x") * 1000,))
    opening = find_opening(chain, PairTokenizer(), split_answer(text))
    assert PairTokenizer().decode(opening.ids) == r"\boxed"
    assert opening.rest == "{"
    assert opening.value_in("{5} and", "boxed") == "5"


def test_an_answer_that_the_ids_do_not_spell_is_an_error() -> None:
    """Ids that decode to something else cannot be read on from."""
    chain = replace(toy_chain("x", answer="#### 7"), answer_ids=(65, 66))
    with pytest.raises(AnalysisError, match="decode to, 'AB'"):
        find_opening(chain, AdditiveScorer().tokenizer, split_answer("#### 7"))
