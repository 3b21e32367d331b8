"""A model's chat template: what it writes around a question, the reasoning and the answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import takewhile
from types import MappingProxyType
from typing import Any

from jinja2 import TemplateError

from tokimp.chains.chain import Chain
from tokimp.chains.chain_text import Piece
from tokimp.chains.template_clock import DATE_STRING, with_stopped_clock
from tokimp.chains.time_limit import TimeIsUp, time_limit
from tokimp.errors import TokenizationError

Message = dict[str, Any]

_LONGEST_RENDERING = 20.0  # seconds; a template takes less than a hundredth of one
_REASONING_KEYS = ("reasoning_content", "thinking", "reasoning")
# Templates of models that can think or not (DeepSeek-V3.1, Qwen3.5) ask for one of these; the others ignore them.
_THINKING_ON: Mapping[str, Any] = MappingProxyType({"enable_thinking": True, "thinking": True})


def template_source(tokenizer: Any) -> str | None:
    """Return the template used for a conversation without tools; several templates in one tokenizer have a default."""
    template = getattr(tokenizer, "chat_template", None)
    if isinstance(template, Mapping):
        template = template.get("default")
    return template or None


@dataclass(frozen=True, slots=True)
class Turn:
    """What a template writes around the texts of an assistant's turn.

    Attributes
    ----------
    before, between, after
        What stands before the reasoning, between reasoning and answer, and after the answer.
    message
        Makes the assistant's message of a reasoning and an answer; ``None`` if the template writes no reasoning.
    switches
        Variables that the template is rendered with.
    """

    before: str
    between: str
    after: str
    message: Callable[[str, str], Message] | None = None
    switches: Mapping[str, Any] = field(default_factory=dict)


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

    def generation_prompt(self, switches: Mapping[str, Any] = MappingProxyType({})) -> str:
        """Return what the template writes before a model begins to respond, rendered with some switches."""
        messages = self._messages(self.chain.system, self.chain.question)
        return self._render(messages, add_generation_prompt=True, switches=switches)

    def opened_generation_prompt(self, opening: str) -> str | None:
        """Return the generation prompt that ends with an opening tag, with thinking switched on if need be."""
        for switches in ({}, _THINKING_ON):
            generation = self.generation_prompt(switches)
            if generation.rstrip().endswith(opening):
                return generation
        return None

    def around_content(self) -> tuple[str, str]:
        """Return what the template writes before and after the content of the assistant's message."""
        content = self._stand_in("content")
        before, after = self._split({"content": content}, content)
        return before, after

    def reasoning_turn(self) -> Turn | None:
        """Return what the template writes around a reasoning in a field of its own, and around the answer.

        Thinking is switched on where the template writes a reasoning only then. The result is ``None`` if the template
        writes no reasoning, or not where a model would write it: after the question and before the answer.
        """
        reasoning, content = self._stand_in("reasoning"), self._stand_in("content")
        generation = self.generation_prompt()
        for switches in ({}, _THINKING_ON):
            for message in _messages_with_reasoning():
                try:
                    rendered = self._render_turn(message(reasoning, content), switches)
                except TokenizationError:
                    # A template may refuse a field, or a content that is no text, and take another.
                    continue
                parts = re.split(f"{reasoning}|{content}", rendered)
                if len(parts) != 3 or rendered.index(reasoning) > rendered.index(content):
                    continue
                # A template that writes a list of parts as Python shows it knows nothing of them.
                if "'type'" in parts[0] + parts[1] or '"type"' in parts[0] + parts[1]:
                    continue
                pairs = zip(parts[0], generation, strict=False)
                shared = "".join(own for own, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
                if self.chain.question.strip() in shared:
                    return Turn(parts[0], parts[1], parts[2], message, switches)
        return None

    def fitted(self, turn: Turn) -> Turn:
        """Return a turn as the template writes it around this chain's own reasoning and answer.

        Many templates take white space off the ends of a text. Where the chain's text ends with the very white space
        that the template puts there, only one of the two is written.

        Raises
        ------
        TokenizationError
            If the template alters the reasoning or the answer.
        """
        if turn.message is None:
            return turn
        reasoning, answer = self.chain.reasoning, self.chain.answer
        rendered = self._render_turn(turn.message(reasoning, answer), turn.switches)
        before, between, after = turn.before, turn.between, turn.after
        shortest = len(before.rstrip())
        start = next((at for at in range(len(before), shortest - 1, -1) if rendered.startswith(reasoning, at)), -1)
        rest = rendered[start + len(reasoning) :]
        n_spaces = len(after) - len(after.lstrip())
        after = next((after[n:] for n in range(n_spaces + 1) if rest.endswith(answer + after[n:])), "(none)")
        middle = rest.removesuffix(answer + after)
        if start < 0 or middle == rest or rendered[:start] != before[:start] or middle.strip() != between.strip():
            raise self._altered("reasoning or the answer")
        fitted = replace(turn, before=before[:start], between=middle, after=after)
        wrong = self.chain.wrong_answer
        if wrong is not None:
            expected = before[:start] + reasoning + middle + wrong + after
            if self._render_turn(turn.message(reasoning, wrong), turn.switches) != expected:
                raise self._altered("wrong answer")
        return fitted

    def after_answer(self) -> str:
        """Return what the template writes after the content of the assistant's message, the chain's answer.

        Raises
        ------
        TokenizationError
            If the template alters the answer, or the wrong answer.
        """
        before, after = self.around_content()
        for answer, what in ((self.chain.answer, "answer"), (self.chain.wrong_answer, "wrong answer")):
            if answer is not None and self._render_turn({"content": answer}) != before + answer + after:
                raise self._altered(what)
        return after

    def _altered(self, what: str) -> TokenizationError:
        return TokenizationError(
            f"{self.chain.where}: the chat template alters the {what} (it takes white space off the ends, or cuts at a "
            "thinking tag); take white space and tags off the ends of the chain's texts, or use prompt format 'plain'"
        )

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

    def _render_turn(self, message: Message, switches: Mapping[str, Any] = MappingProxyType({})) -> str:
        messages = [*self._messages(self.chain.system, self.chain.question), {"role": "assistant", **message}]
        return self._render(messages, add_generation_prompt=False, switches=switches)

    def _messages(self, system: str | None, question: str) -> list[Message]:
        opening = [] if system is None else [{"role": "system", "content": system}]
        return [*opening, {"role": "user", "content": question}]

    def _stand_in(self, name: str) -> str:
        """Return a word that the chain's own texts do not contain."""
        word = f"tokimp{name}"
        while word in self.chain.question or word in (self.chain.system or ""):
            word += "x"
        return word

    def _render(
        self,
        messages: list[Message],
        *,
        add_generation_prompt: bool,
        switches: Mapping[str, Any] = MappingProxyType({}),
    ) -> str:
        render: Callable[..., Any] = self.tokenizer.apply_chat_template
        try:
            with time_limit(_LONGEST_RENDERING):
                rendered = render(
                    messages,
                    tokenize=False,
                    add_generation_prompt=add_generation_prompt,
                    chat_template=with_stopped_clock(template_source(self.tokenizer) or ""),
                    date_string=DATE_STRING,
                    **switches,
                )
        except TimeIsUp as error:
            raise TokenizationError(
                f"{self.chain.where}: the chat template of the tokenizer did not end within {_LONGEST_RENDERING:g} s; "
                "it may have an endless loop: use another tokenizer, or prompt format 'plain'"
            ) from error
        except (TemplateError, ValueError, TypeError, KeyError) as error:
            raise TokenizationError(
                f"{self.chain.where}: the chat template refuses the messages "
                f"({', '.join(message['role'] for message in messages)}): {error}; leave out what it refuses, or use "
                "prompt format 'plain'"
            ) from error
        return str(rendered)


def _messages_with_reasoning() -> Iterator[Callable[[str, str], Message]]:
    """Yield the ways in which templates take a reasoning: in a field of one of three names, or in the content."""
    for key in _REASONING_KEYS:
        yield partial(_with_field, key)
    yield _with_parts


def _with_field(key: str, reasoning: str, answer: str) -> Message:
    return {"content": answer, key: reasoning}


def _with_parts(reasoning: str, answer: str) -> Message:
    return {"content": [{"type": "thinking", "thinking": reasoning}, {"type": "text", "text": answer}]}
