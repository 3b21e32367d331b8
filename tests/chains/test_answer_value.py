"""The tokens of an answer that are its value, and what of them a model has to write."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.chains.tokenizers import CHATML, byte_level, decode, sentencepiece, unigram
from tokimp.chains.answer_value import find_answer_value
from tokimp.chains.chain import Chain
from tokimp.chains.datasets.correctness import split_answer
from tokimp.chains.encoding import encode_chain
from tokimp.testing import AdditiveScorer

ANSWERS = [
    ("#### 7", "#### ", "7"),
    ("The answer is (B). Check.", "The answer is (", "B"),
    (r"So \boxed{\pi} it is", r"So \boxed{", r"\pi"),
    ('{"answer": "18"}', '{"answer": "', "18"),
    ("seven", "", "seven"),
    ("  #### 7", "  #### ", "7"),
]


@pytest.mark.parametrize(("answer", "opening", "value"), ANSWERS)
def test_the_value_is_found_among_the_tokens(answer: str, opening: str, value: str) -> None:
    """A mark, a choice's sentence, a field or the begin of a box precedes the value; a plain answer is all value."""
    ids = [ord(character) for character in answer]
    place = find_answer_value([ord("x")], ids, answer, split_answer(answer), AdditiveScorer().tokenizer)
    assert place is not None
    assert "".join(map(chr, ids[: place.begin])) == opening
    assert "".join(map(chr, ids[place.begin : place.end])) == value
    assert place.rest == ""


@pytest.mark.parametrize("tokenizer", [byte_level(template=CHATML), sentencepiece("normalizer", template=CHATML)])
@pytest.mark.parametrize(("answer", "opening", "value"), ANSWERS)
def test_a_chain_as_ids_names_its_value(tokenizer: object, answer: str, opening: str, value: str) -> None:
    """The tokens hold the value and no token more than it takes, whatever the format writes around the answer."""
    chain = encode_chain(Chain("a", "How many?", "3 + 4 = 7", answer), tokenizer, "chat")
    assert chain.answer_value is not None
    begin, end = chain.answer_value
    assert value in decode(tokenizer, chain.answer_ids[begin:end])
    assert value not in decode(tokenizer, chain.answer_ids[begin + 1 : end])
    assert value not in decode(tokenizer, chain.answer_ids[begin : end - 1])
    assert end < len(chain.answer_ids)  # the end of the turn is no value


@pytest.mark.parametrize(("answer", "value"), [("#### é", "é"), ("the 七", "the 七"), ("#### 🙂 cats", "🙂 cats")])
def test_a_value_has_all_bytes_of_its_last_character(answer: str, value: str) -> None:
    """Where the bytes of a character are tokens of their own, the value ends after the last of them."""
    tokenizer = unigram()
    chain = encode_chain(Chain("a", "?", "so", answer), tokenizer, "plain")
    assert chain.answer_value is not None
    begin, end = chain.answer_value
    assert decode(tokenizer, chain.answer_ids[begin:end]).strip() == value
    assert end == len(chain.answer_ids)


def test_an_answer_without_a_value_names_none() -> None:
    """A box that was never closed gives no value."""
    chain = encode_chain(Chain("a", "How many?", "3 + 4 = 7", r"\boxed{never"), byte_level(), "plain")
    assert chain.answer_value is None


class PairTokenizer:
    """Two characters are a token."""

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids."""
        return "".join(chr(i // 1000) + (chr(i % 1000) if i % 1000 else "") for i in ids)


def test_a_token_that_holds_the_value_is_left_to_the_model() -> None:
    """What of the opening shares a token with the value is written by the model, and taken off again."""
    text = r"\boxed{5}"
    pairs = [ord(a) * 1000 + (ord(b) if b else 0) for a, b in zip(text[::2], [*text[1::2], ""], strict=True)]
    place = find_answer_value([ord("x") * 1000], pairs, text, split_answer(text), PairTokenizer())
    assert place is not None
    assert PairTokenizer().decode(pairs[: place.begin]) == r"\boxed"
    assert PairTokenizer().decode(pairs[place.begin : place.end]) == "{5"
    assert place.rest == "{"
    assert place.value_in("{5} and", "boxed") == "5"


def test_an_answer_that_the_ids_do_not_spell_has_no_place() -> None:
    """Ids that decode to something else cannot be read on from."""
    place = find_answer_value([120], [65, 66], "#### 7", split_answer("#### 7"), AdditiveScorer().tokenizer)
    assert place is None
