"""The tokens of an answer that are its value, and what precedes them, after which a model can be asked to go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from unicodedata import normalize

from tokimp.chains.datasets.correctness import AnswerKind, AnswerParts, read_value
from tokimp.chains.span_encoder import SpanEncoder


@dataclass(frozen=True, slots=True)
class AnswerValue:
    """Where the value of a chain's answer stands among the answer's tokens.

    Attributes
    ----------
    begin, end
        Index of the first token that holds a part of the value, and of the one after the last.
    rest
        The end of the opening's text that shares a token with the value. A model that goes on before the value has to
        write it.
    """

    begin: int
    end: int
    rest: str

    def value_in(self, written: str, kind: AnswerKind) -> str:
        """Return the value in what a model wrote after the tokens before the value."""
        # A NUL is no part of an answer, and no result file can hold it.
        return read_value(written.removeprefix(self.rest), kind).replace("\0", "")


def find_answer_value(
    reasoning_ids: Sequence[int], answer_ids: Sequence[int], answer: str, parts: AnswerParts, tokenizer: Any
) -> AnswerValue | None:
    """Return where the value of an answer stands; ``None`` if the answer's text is not in what its ids decode to.

    Parameters
    ----------
    reasoning_ids
        Ids of the reasoning; the answer is decoded after the last one, since some decoders drop the first space of a
        text.
    answer_ids
        Ids of the answer, with what closes the reasoning before it and what closes the turn after it.
    answer
        The answer's text.
    parts
        The answer, split into opening and value. An empty value stands where the model would begin it.
    tokenizer
        The tokenizer that made the ids.
    """
    decode = SpanEncoder.of(tokenizer).decode if getattr(tokenizer, "is_fast", False) else tokenizer.decode
    last_of_reasoning = list(reasoning_ids[-1:])
    shift = len(decode(last_of_reasoning))

    def text(count: int) -> str:
        """Return the text of the first tokens of the answer."""
        return str(decode([*last_of_reasoning, *answer_ids[:count]]))[shift:]

    whole = text(len(answer_ids))
    # Tokenizers that compose characters return the composed text.
    for form in (str, lambda string: normalize("NFC", string)):
        place = whole.find(form(answer.strip()))
        if place >= 0:
            start = place + len(form(parts.opening.lstrip()))
            stop = start + len(form(parts.value))
            break
    else:
        return None
    begin = 0
    while begin < len(answer_ids) and len(text(begin + 1)) <= start:
        begin += 1
    end = begin
    # Not by length: the first bytes of a character that is split over several tokens are a character by themselves.
    while end < len(answer_ids) and text(end)[:stop] != whole[:stop]:
        end += 1
    return AnswerValue(begin, end, whole[len(text(begin)) : start])
