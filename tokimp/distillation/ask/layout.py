"""Turn a task's questions into prompts, and a model's text into reasoning and answer, in one prompt format."""

from __future__ import annotations

from typing import Any, cast

from tokimp.chains.chain import Chain, Ids
from tokimp.chains.chain_text import ChainText
from tokimp.chains.encoding import lay_out
from tokimp.chains.prompt_format import PromptFormat, choose
from tokimp.chains.span_encoder import SpanEncoder
from tokimp.chains.think_tags import ThinkTags
from tokimp.contracts.checked_task import parts_of
from tokimp.contracts.task import Question, Task
from tokimp.errors import TokenizationError


class Layout:
    """The prompt format of a run, with the model's tokenizer.

    Parameters
    ----------
    tokenizer
        The model's.
    prompt_format, think_tags
        As for `tokimp.tokenize_chain`; a prompt has the same ids as the ``prompt_ids`` of a chain of its question.

    Attributes
    ----------
    format
        The format in use, with ``auto`` resolved: ``chat``, ``think`` or ``plain``.

    Raises
    ------
    TokenizationError
        If reasoning and answer cannot be told apart in this format: what stands between them is missing from the text
        that a model writes, because it is special tokens (a channel's, such as gpt-oss's), or a model stops at it.
    """

    def __init__(
        self, tokenizer: Any, prompt_format: PromptFormat = "auto", think_tags: ThinkTags | None = None
    ) -> None:
        self._tokenizer = tokenizer
        self._encoder = SpanEncoder.of(tokenizer)
        self.think_tags = think_tags
        chosen = choose(tokenizer, think_tags) if prompt_format == "auto" else prompt_format
        self.format = cast("PromptFormat", chosen)
        if self.format == "think":
            self._check_tag()

    def _check_tag(self) -> None:
        """Refuse what a model's text does not have between reasoning and answer: special tokens are left out of it."""
        between = self._text(Question("any", "-", "-")).before_answer
        tag = between.text.strip()
        if not tag:
            raise TokenizationError(
                "nothing but white space closes the thinking, so reasoning and answer cannot be told apart; give a "
                "closing tag (--think-tags), or use prompt format 'chat'"
            )
        ids = list(self._encoder.encode((between,), where="what closes the thinking"))
        why = ""
        if tag not in str(self._tokenizer.decode(ids, skip_special_tokens=True)):
            why = "special tokens, which are left out of the text that a model writes"
        elif getattr(self._tokenizer, "eos_token_id", None) in ids:
            why = "text with the token at which a model stops"
        if why:
            raise TokenizationError(
                f"between reasoning and answer stands {tag!r}, {why}, so the two cannot be told apart in prompt format "
                "'think'; use prompt format 'chat', in which the model reasons in its answer, or 'plain'"
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
        return lay_out(chain, self._tokenizer, self.format, think_tags=self.think_tags)
