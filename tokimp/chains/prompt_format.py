r"""Prompt formats: which texts stand before the reasoning, and before and after the answer.

A format makes text, in pieces; `tokimp.chains.tokenization` makes ids of each piece. A piece is either *markup*, written by
the model's chat template, in which control strings such as ``<|im_end|>`` are control tokens, or *data*, out of a
chain, in which they are text like any other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from jinja2 import TemplateError

from tokimp.chains.chain import Chain
from tokimp.errors import TokenizationError

__all__ = [
    "PROMPT_FORMATS",
    "ChainText",
    "Piece",
    "PromptFormat",
    "ThinkTags",
    "chat",
    "choose",
    "plain",
    "tag_names",
    "template_source",
    "think",
]

PromptFormat = Literal["chat", "think", "plain", "auto"]
PROMPT_FORMATS: tuple[PromptFormat, ...] = get_args(PromptFormat)
ThinkTags = tuple[str, str]
Message = dict[str, str]

_CLOSING_TAG = re.compile(r"</((?:\w+:)?(?:think|thinking|thought))>|\[/(THINK)\]")
_REASONING_KEYS = ("reasoning_content", "thinking", "reasoning")
# Templates that write today's date would make other ids tomorrow; those of Llama 3 take a date, and default to this.
_TEMPLATE_DATE = "26 Jul 2024"


@dataclass(frozen=True, slots=True)
class Piece:
    """A text that is tokenised on its own; ``markup``: control strings in it are control tokens."""

    text: str
    markup: bool


@dataclass(frozen=True, slots=True)
class ChainText:
    """The texts around a chain's reasoning and answer.

    Attributes
    ----------
    format
        ``chat``, ``think`` or ``plain``.
    prompt
        Everything before the reasoning.
    before_answer
        Between reasoning and answer. Data is tokenised together with the answer, markup apart from it.
    after_answer
        What closes the turn.
    leading_ids
        Whether the ids that the tokenizer itself puts before a text (a BOS) open the prompt.
    """

    format: str
    prompt: tuple[Piece, ...]
    before_answer: Piece
    after_answer: Piece
    leading_ids: bool

    def answer(self, text: str) -> tuple[Piece, ...]:
        """Return the pieces of an answer span that says `text`."""
        if self.before_answer.markup:
            pieces = [self.before_answer, Piece(text, markup=False), self.after_answer]
        else:
            pieces = [Piece(self.before_answer.text + text, markup=False), self.after_answer]
        return tuple(piece for piece in pieces if piece.text)

    def pieces(self, reasoning: str, answer: str) -> tuple[Piece, ...]:
        """Return all pieces of the sequence, in order."""
        return (*self.prompt, Piece(reasoning, markup=False), *self.answer(answer))


def plain(chain: Chain) -> ChainText:
    r"""Question, newline, reasoning, newline, answer; for models without a chat template.

    - prompt: the ids the tokenizer puts before every text (a BOS, if it adds one), then ``question + "\n"`` encoded.
      A system message stands before the question: ``system + "\n" + question + "\n"``.
    - reasoning: ``reasoning`` encoded.
    - answer: ``"\n" + answer`` encoded, and nothing after it: no EOS.

    Control strings are text everywhere.
    """
    system = "" if chain.system is None else chain.system + "\n"
    return ChainText(
        format="plain",
        prompt=(Piece(f"{system}{chain.question}\n", markup=False),),
        before_answer=Piece("\n", markup=False),
        after_answer=Piece("", markup=True),
        leading_ids=True,
    )


def chat(chain: Chain, tokenizer: Any, control: Sequence[str]) -> ChainText:
    r"""Wrap the chain in the model's own chat template, the reasoning as the opening of the assistant's message.

    - prompt: the template over [system message, if any; user: question], up to where it writes the assistant's
      content, encoded with no further special tokens. For most templates these are exactly the ids of
      ``apply_chat_template(messages, add_generation_prompt=True)``; where the template writes more before the content
      (Qwen3's empty thinking, Llama-2's space), that is part of the prompt, and where its generation prompt
      already opens the thinking (DeepSeek-R1), the opened thinking is not.
    - reasoning: ``reasoning`` encoded.
    - answer: ``"\n" + answer`` encoded, then what the template writes after the assistant's content to the end of the
      turn (``"<|im_end|>\n"``) encoded.

    A question or system message that contains a control string is encoded apart from the markup around it, as text.
    A system message that the template adds by itself (SmolLM2's) stays.

    Raises
    ------
    TokenizationError
        If there is no template, it refuses the messages, or drops or alters the question or the system message.
    """
    template = _Template(chain, tokenizer)
    generation, before, after = template.generation_prompt(), *template.around_content()
    if not (before.startswith(generation) or generation.startswith(before)):
        raise TokenizationError(
            f"{chain.where}: the chat template opens the assistant's turn with {_tail(before)} but asks for one with "
            f"{_tail(generation)}; use prompt format 'plain', or 'think' with think_tags"
        )
    return ChainText(
        format="chat",
        prompt=template.prompt_pieces(before, control),
        before_answer=Piece("\n", markup=False),
        after_answer=Piece(after, markup=True),
        leading_ids=False,
    )


def think(chain: Chain, tokenizer: Any, control: Sequence[str], think_tags: ThinkTags | None = None) -> ChainText:
    r"""Put the reasoning inside the model's thinking tags.

    - prompt: the template over [system message, if any; user: question] with its generation prompt, then the opening
      tag unless the generation prompt ends with it; encoded together, with no further special tokens.
    - reasoning: ``reasoning`` encoded.
    - answer: the closing tag encoded, ``answer`` encoded, then what the template writes after the assistant's content
      to the end of the turn encoded; the three apart.

    The tags, with the white space around them, are `think_tags` if given, else what the template writes around a
    message's reasoning (field ``reasoning_content``, ``thinking`` or ``reasoning``: Qwen3). A template that has tags
    but writes no reasoning (DeepSeek-R1 strips it from earlier turns) gets ``"<think>\n"`` and ``"\n</think>\n\n"``
    with the tags it names, and the white space of its generation prompt if that already opens them.

    Raises
    ------
    TokenizationError
        If there is no template or there are no tags in it and none given; else as for `chat`.
    """
    template = _Template(chain, tokenizer)
    generation = template.generation_prompt()
    around = None
    if think_tags is None:
        names = tag_names(template_source(tokenizer) or "")
        if names is None:
            raise TokenizationError(
                f"{chain.where}: the chat template has no thinking tags; give them (think_tags=('<think>\\n', "
                "'\\n</think>\\n\\n')) or use prompt format 'chat'"
            )
        around = template.around_reasoning(names, generation)
        think_tags = (names[0] + "\n", "\n" + names[1] + "\n\n")
    if around is not None:
        before, closing, after = around
    else:
        opening, closing = think_tags
        opened = bool(opening.strip()) and generation.rstrip().endswith(opening.strip())
        before = generation if opened else generation + opening
        after = template.around_content()[1]
    return ChainText(
        format="think",
        prompt=template.prompt_pieces(before, control),
        before_answer=Piece(closing, markup=True),
        after_answer=Piece(after, markup=True),
        leading_ids=False,
    )


def choose(tokenizer: Any, think_tags: ThinkTags | None = None) -> str:
    """Return what ``auto`` means for a tokenizer.

    ``think`` if its template has thinking tags or `think_tags` are given, else ``chat`` if it has a template, else
    ``plain``.
    """
    source = template_source(tokenizer)
    if source is None:
        return "plain"
    return "think" if think_tags is not None or tag_names(source) is not None else "chat"


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


def _tail(text: str) -> str:
    return repr(text[-60:])


class _Template:
    """A tokenizer's chat template, rendered with one chain's messages."""

    def __init__(self, chain: Chain, tokenizer: Any) -> None:
        if template_source(tokenizer) is None:
            raise TokenizationError(
                f"{chain.where}: the tokenizer has no chat template; use prompt format 'plain', or set "
                "tokenizer.chat_template"
            )
        self.chain = chain
        self.tokenizer = tokenizer

    def generation_prompt(self) -> str:
        return self._render(self._messages(self.chain.system, self.chain.question), add_generation_prompt=True)

    def around_content(self) -> tuple[str, str]:
        """Return what is written before and after the content of the assistant's message."""
        content = self._stand_in("content")
        before, after = self._split({"content": content}, content)
        return before, after

    def around_reasoning(self, names: ThinkTags, generation: str) -> tuple[str, str, str] | None:
        """Return what is written before, between and after reasoning and content; ``None`` if reasoning is not."""
        reasoning, content = self._stand_in("reasoning"), self._stand_in("content")
        for key in _REASONING_KEYS:
            rendered = self._render_turn({"content": content, key: reasoning})
            parts = re.split(f"{reasoning}|{content}", rendered)
            if len(parts) != 3 or rendered.index(reasoning) > rendered.index(content):
                continue
            before, between, after = parts
            # Only the turn as the model would write it: what follows the generation prompt, inside the tags.
            if before.startswith(generation) and before.rstrip().endswith(names[0]) and names[1] in between:
                return before, between, after
        return None

    def prompt_pieces(self, before: str, control: Sequence[str]) -> tuple[Piece, ...]:
        """Return the rendered prompt, the chain's own texts cut out as data where they hold control strings."""
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
        """Return where the template writes a message's content (-1: not as it stands)."""
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
