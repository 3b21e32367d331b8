"""Turn a task's questions into prompts, and a model's text into reasoning and answer, in one prompt format."""

from __future__ import annotations

from typing import Any, cast

from tokimp.chains.chain import Chain, Ids
from tokimp.chains.chain_text import ChainText
from tokimp.chains.encoding import lay_out
from tokimp.chains.prompt_format import PromptFormat, choose
from tokimp.chains.span_encoder import SpanEncoder
from tokimp.contracts.checked_task import parts_of
from tokimp.contracts.task import Question, Task
from tokimp.errors import TokenizationError


class Layout:
    """The prompt format of a run, with the model's tokenizer.

    Parameters
    ----------
    tokenizer
        The model's.
    prompt_format
        As for `tokimp.tokenize_chain`; a prompt has the same ids as the ``prompt_ids`` of a chain of its question.

    Attributes
    ----------
    format
        The format in use, with ``auto`` resolved: ``chat``, ``think`` or ``plain``.

    Raises
    ------
    TokenizationError
        If reasoning and answer cannot be told apart in this format, since the closing tag is missing from what a model
        writes.
    """

    def __init__(self, tokenizer: Any, prompt_format: PromptFormat = "auto") -> None:
        self._tokenizer = tokenizer
        self._encoder = SpanEncoder.of(tokenizer)
        self.format = cast("PromptFormat", choose(tokenizer) if prompt_format == "auto" else prompt_format)
        if self.format == "think":
            self._check_tag()

    def _check_tag(self) -> None:
        """Refuse a closing tag that is a special token, since generated text comes without special tokens."""
        tag = self._text(Question("any", "-", "-")).before_answer
        ids = self._encoder.encode((tag,), where="the closing tag")
        if tag.text.strip() not in str(self._tokenizer.decode(list(ids), skip_special_tokens=True)):
            raise TokenizationError(
                f"the closing tag {tag.text.strip()!r} is a special token, which is left out of what the model writes, "
                "so reasoning and answer cannot be told apart; use prompt format 'chat' or 'plain'"
            )

    def prompt(self, question: Question) -> Ids:
        """Return the ids of the prompt that the model continues.

        Raises
        ------
        TokenizationError
            If the format does not fit the tokenizer, or the question cannot be turned into ids.
        """
        return self._encoder.encode_prompt(self._text(question), where=f"question {question.id!r}")

    def divide(self, task: Task, question: Question, response: str) -> tuple[str, str] | None:
        """Return a response's reasoning and answer; ``None`` if the task finds no answer in it.

        In the format ``think`` the reasoning stands before the closing tag, and the answer is everything after it, if
        the task finds an answer there.
        """
        if self.format != "think":
            return parts_of(task, response)
        tag = self._text(question).before_answer.text.strip()
        reasoning, closed, answer = response.partition(tag)
        if not closed or parts_of(task, answer) is None:
            return None
        return reasoning.strip(), answer.strip()

    def count(self, text: str) -> int:
        """Return the number of tokens of a reasoning text, as `tokimp.tokenize_chain` counts them.

        A text that it refuses, because no chain could hold it, is counted by the tokenizer alone.
        """
        if not text:
            return 0
        try:
            return len(self._encoder.encode_with_offsets(text, where="a reasoning")[0])
        except TokenizationError:
            return len(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _text(self, question: Question) -> ChainText:
        # Everything before the reasoning is the same for all reasonings and answers.
        chain = Chain(question.id, question.text, reasoning="-", answer="-", system=question.system or None)
        return lay_out(chain, self._tokenizer, self.format)
