"""A language model that is run here and asked like a server."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import TemplateError

from tokimp.chains.chain_text import Piece
from tokimp.chains.chat_template import template_source
from tokimp.chains.span_encoder import SpanEncoder
from tokimp.chains.template_clock import DATE_STRING, with_stopped_clock
from tokimp.contracts.scorer import Scorer
from tokimp.errors import CategorizerError, TokimpError
from tokimp_categorizers.llm_prompt import Message


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model that is run here.

    Attributes
    ----------
    scorer
        The model, with the capability of generation.
    longest
        The most tokens it may write.
    """

    scorer: Scorer
    longest: int

    def complete(self, conversation: Sequence[Message]) -> str:
        """Return the model's answer to a conversation, written greedily.

        Raises
        ------
        CategorizerError
            If the model cannot write, its chat template refuses the conversation, or this is too long for the model.
        """
        try:
            ((answer,),) = self.scorer.generate([self._ids(conversation)], max_new_tokens=self.longest)
        except CategorizerError:
            raise
        except TokimpError as error:
            raise CategorizerError(f"{self.scorer.model_id!r} cannot answer: {error}") from error
        return answer

    def _ids(self, conversation: Sequence[Message]) -> list[int]:
        """Return the ids of a conversation, in which only what the chat template writes can be a control token."""
        tokenizer = self.scorer.tokenizer
        encoder = SpanEncoder.of(tokenizer)
        if template_source(tokenizer) is None:
            around = [f"{message['role'].capitalize()}: " for message in conversation]
            around = [around[0], *(f"\n{text}" for text in around[1:]), "\nAssistant: "]
            leading = encoder.leading_ids
        else:
            around, leading = self._around(conversation), ()
        contents = [message["content"] for message in conversation]
        pieces = _pieces(around, contents, encoder.control)
        return [*leading, *encoder.encode(pieces, opens_text=True, where="the conversation")]

    def _around(self, conversation: Sequence[Message]) -> list[str]:
        """Return what the chat template writes before, between and after the contents of the messages."""
        words = [f"tokimpmessage{index}stop" for index in range(len(conversation))]
        stand_ins = [{**message, "content": word} for message, word in zip(conversation, words, strict=True)]
        try:
            rendered = self.scorer.tokenizer.apply_chat_template(
                stand_ins,
                tokenize=False,
                add_generation_prompt=True,
                # On every day the same date, so that what was labelled yesterday is found again.
                chat_template=with_stopped_clock(template_source(self.scorer.tokenizer) or ""),
                date_string=DATE_STRING,
            )
        except (TemplateError, ValueError, TypeError, KeyError) as error:
            raise CategorizerError(
                f"the chat template of {self.scorer.model_id!r} refuses the conversation ({error}); name another model"
            ) from error
        written = re.findall("|".join(words), str(rendered))
        if written != words:
            raise CategorizerError(
                f"the chat template of {self.scorer.model_id!r} does not write each of {len(words)} messages once and "
                "in order, so it cannot be asked this way; name another model, or a server (url=...)"
            )
        return re.split("|".join(words), str(rendered))


def _pieces(around: Sequence[str], contents: Sequence[str], control: Sequence[str]) -> list[Piece]:
    """Return the texts of a conversation, in order.

    Contents that hold a control string are pieces of their own, marked as data. Other contents are tokenised together
    with the text around them, as in the model's training.
    """
    pieces, text = [], around[0]
    for content, following in zip(contents, around[1:], strict=True):
        if any(string in content for string in control):
            pieces += [Piece(text, markup=True), Piece(content, markup=False)]
            text = following
        else:
            text += content + following
    return [piece for piece in (*pieces, Piece(text, markup=True)) if piece.text]
