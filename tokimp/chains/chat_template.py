"""A model's chat template: what it writes around a question, the reasoning and the answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jinja2 import TemplateError

from tokimp.chains.chain import Chain
from tokimp.chains.chain_text import Piece
from tokimp.errors import TokenizationError

ThinkTags = tuple[str, str]
"""The opening and the closing tag of thinking."""
Message = dict[str, str]

_CLOSING_TAG = re.compile(r"</((?:\w+:)?(?:think|thinking|thought))>|\[/(THINK)\]")
_REASONING_KEYS = ("reasoning_content", "thinking", "reasoning")
# A template that writes today's date would make other ids tomorrow. Llama 3's takes a date, and defaults to this one.
_TEMPLATE_DATE = "26 Jul 2024"


def tag_names(template: str) -> ThinkTags | None:
    """Return the opening and closing tag that a chat template's source mentions, without white space."""
    closing = _CLOSING_TAG.search(template)
    if closing is None:
        return None
    return closing.group().replace("/", "", 1), closing.group()


def template_source(tokenizer: Any) -> str | None:
    """Return the template used for a conversation without tools; several templates in one tokenizer have a default."""
    template = getattr(tokenizer, "chat_template", None)
    if isinstance(template, Mapping):
        template = template.get("default")
    return template or None


class ChatTemplate:
    """A tokenizer's chat template, rendered with the messages of one chain.

    Parameters
    ----------
    chain
        The chain whose question and system message fill the template.
    tokenizer
        A tokenizer of transformers.

    Raises
    ------
    TokenizationError
        If the tokenizer has no chat template. All methods raise it too, if the template refuses the messages.
    """

    def __init__(self, chain: Chain, tokenizer: Any) -> None:
        if template_source(tokenizer) is None:
            raise TokenizationError(
                f"{chain.where}: the tokenizer has no chat template; use prompt format 'plain', or set "
                "tokenizer.chat_template"
            )
        self.chain = chain
        self.tokenizer = tokenizer

    def generation_prompt(self) -> str:
        """Return what the template writes before a model begins to respond."""
        return self._render(self._messages(self.chain.system, self.chain.question), add_generation_prompt=True)

    def around_content(self) -> tuple[str, str]:
        """Return what the template writes before and after the content of the assistant's message."""
        content = self._stand_in("content")
        before, after = self._split({"content": content}, content)
        return before, after

    def around_reasoning(self, names: ThinkTags, generation: str) -> tuple[str, str, str] | None:
        """Return what the template writes before, between and after the assistant's reasoning and content.

        Parameters
        ----------
        names
            The opening and the closing tag of thinking that the template mentions.
        generation
            The template's generation prompt.

        Returns
        -------
        tuple of str or None
            ``None`` if the template writes no reasoning, or not where a model would write it.
        """
        reasoning, content = self._stand_in("reasoning"), self._stand_in("content")
        for key in _REASONING_KEYS:
            rendered = self._render_turn({"content": content, key: reasoning})
            parts = re.split(f"{reasoning}|{content}", rendered)
            if len(parts) != 3 or rendered.index(reasoning) > rendered.index(content):
                continue
            before, between, after = parts
            # The model writes what follows the generation prompt, so the template must write the reasoning there too.
            if before.startswith(generation) and before.rstrip().endswith(names[0]) and names[1] in between:
                return before, between, after
        return None

    def prompt_pieces(self, before: str, control: Sequence[str]) -> tuple[Piece, ...]:
        """Return a rendered prompt in pieces: texts of the chain with control strings are data, the rest is markup.

        Parameters
        ----------
        before
            The rendered prompt: everything before the reasoning.
        control
            The control strings of the tokenizer.
        """
        pieces: list[Piece] = []
        done = 0
        for role, text in (("system", self.chain.system or ""), ("user", self.chain.question)):
            if text.strip() not in before:
                raise TokenizationError(
                    f"{self.chain.where}: the chat template drops or alters the text {text[:60]!r}; use prompt format "
                    "'plain', or leave the system message out"
                )
            if any(string in text for string in control):
                start = self._position(role)
                data = text if before.startswith(text, start) else text.strip()
                if start < done or not before.startswith(data, start):
                    raise TokenizationError(
                        f"{self.chain.where}: {text[:60]!r} holds a control string and the chat template alters it, so "
                        "data and markup cannot be told apart; remove the control string"
                    )
                pieces += [Piece(before[done:start], markup=True), Piece(data, markup=False)]
                done = start + len(data)
        return tuple(piece for piece in (*pieces, Piece(before[done:], markup=True)) if piece.text)

    def _position(self, role: str) -> int:
        """Return the character at which the template writes a message's content; -1 if it writes something else."""
        word = self._stand_in(role)
        messages = [
            {**message, "content": word} if message["role"] == role else message
            for message in self._messages(self.chain.system, self.chain.question)
        ]
        return self._render(messages, add_generation_prompt=True).find(word)

    def _split(self, message: Message, stand_in: str) -> tuple[str, str]:
        rendered = self._render_turn(message)
        if rendered.count(stand_in) != 1:
            raise TokenizationError(
                f"{self.chain.where}: the chat template writes the assistant's content {rendered.count(stand_in)} "
                "times instead of once; use prompt format 'plain'"
            )
        before, _, after = rendered.partition(stand_in)
        return before, after

    def _render_turn(self, message: Message) -> str:
        messages = self._messages(self.chain.system, self.chain.question)
        return self._render([*messages, {"role": "assistant", **message}], add_generation_prompt=False)

    def _messages(self, system: str | None, question: str) -> list[Message]:
        opening = [] if system is None else [{"role": "system", "content": system}]
        return [*opening, {"role": "user", "content": question}]

    def _stand_in(self, name: str) -> str:
        """Return a word that the chain's own texts do not contain."""
        word = f"tokimp{name}"
        while word in self.chain.question or word in (self.chain.system or ""):
            word += "x"
        return word

    def _render(self, messages: list[Message], *, add_generation_prompt: bool) -> str:
        render: Callable[..., Any] = self.tokenizer.apply_chat_template
        try:
            rendered = render(
                messages, tokenize=False, add_generation_prompt=add_generation_prompt, date_string=_TEMPLATE_DATE
            )
        except (TemplateError, ValueError, TypeError, KeyError) as error:
            raise TokenizationError(
                f"{self.chain.where}: the chat template refuses the messages "
                f"({', '.join(message['role'] for message in messages)}): {error}; leave out what it refuses, or use "
                "prompt format 'plain'"
            ) from error
        return str(rendered)
