"""The part of a chain's answer that precedes its value, after which the model is asked to go on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from unicodedata import normalize

from tokimp.chains.chain import TokenizedChain
from tokimp.chains.datasets.correctness import AnswerKind, AnswerParts, read_value
from tokimp.chains.span_encoder import SpanEncoder
from tokimp.errors import AnalysisError


@dataclass(frozen=True, slots=True)
class Opening:
    """What precedes the value of a chain's answer.

    Attributes
    ----------
    ids
        The chain's own ids up to the value, so that the model goes on exactly where it was scored.
    rest
        The end of the opening's text that shares a token with the value; the model has to write it.
    """

    ids: tuple[int, ...]
    rest: str

    def value_in(self, written: str, kind: AnswerKind) -> str:
        """Return the value in what the model wrote after the ids."""
        # A NUL is no part of an answer, and no result file can hold it.
        return read_value(written.removeprefix(self.rest), kind).replace("\0", "")


def find_opening(chain: TokenizedChain, tokenizer: Any, parts: AnswerParts) -> Opening:
    """Return what precedes the value of a chain's answer, including the text that closes the reasoning.

    Parameters
    ----------
    chain
        The chain.
    tokenizer
        The tokenizer that made its ids.
    parts
        The chain's answer, split into opening and value.

    Raises
    ------
    AnalysisError
        If the answer's text is not in what its ids decode to.
    """
    decode = SpanEncoder.of(tokenizer).decode if getattr(tokenizer, "is_fast", False) else tokenizer.decode
    # Decoded after the last reasoning token, since some decoders drop the first space of a text.
    last_of_reasoning = list(chain.reasoning_ids[-1:])
    shift = len(decode(last_of_reasoning))

    def text(count: int) -> str:
        """Return the text of the first tokens of the answer."""
        return str(decode([*last_of_reasoning, *chain.answer_ids[:count]]))[shift:]

    whole = text(len(chain.answer_ids))
    # Tokenizers that compose characters return the composed text.
    for form in (str, lambda string: normalize("NFC", string)):
        answer = form(chain.chain.answer.strip())
        place = whole.find(answer)
        if place >= 0:
            value_start = place + (len(form(parts.opening.lstrip())) if parts.opening else 0)
            break
    else:
        raise AnalysisError(
            f"{chain.chain.where}: the answer {chain.chain.answer!r} is not in what its tokens decode to, {whole!r}"
        )
    count = 0
    while count < len(chain.answer_ids) and len(text(count + 1)) <= value_start:
        count += 1
    return Opening(chain.answer_ids[:count], whole[len(text(count)) : value_start])
