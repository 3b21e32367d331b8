"""Prompt formats: the texts that stand before the reasoning, and before and after the answer.

A format makes text, in pieces; `tokimp.chains.encoding` makes ids of each piece.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal, get_args

from tokimp.chains.chain import Chain
from tokimp.chains.chain_text import ChainText, Piece
from tokimp.chains.chat_template import ChatTemplate, Turn, template_source
from tokimp.chains.think_tags import ThinkTags, marking_tag, tag_names
from tokimp.errors import TokenizationError

__all__ = ["PROMPT_FORMATS", "PromptFormat", "chat", "choose", "plain", "think"]

PromptFormat = Literal["chat", "think", "plain", "auto"]
PROMPT_FORMATS: tuple[PromptFormat, ...] = get_args(PromptFormat)


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
      ``apply_chat_template(messages, add_generation_prompt=True)``. If the template writes more before the content
      (Qwen3's empty thinking, Llama-2's space), that is part of the prompt. If its generation prompt already opens the
      thinking (DeepSeek-R1), the opened thinking is not.
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
    template = ChatTemplate(chain, tokenizer)
    generation = template.generation_prompt()
    before, after = template.around_content()
    if not (before.startswith(generation) or generation.startswith(before)):
        raise TokenizationError(
            f"{chain.where}: the chat template opens the assistant's turn with {_tail(before)} but asks for one with "
            f"{_tail(generation)}; use prompt format 'plain', or 'think' with think_tags"
        )
    turn = template.fitted(Turn(before, "\n", after, _one_text))
    return ChainText(
        format="chat",
        prompt=template.prompt_pieces(turn.before, control),
        before_answer=Piece("\n", markup=False),
        after_answer=Piece(turn.after, markup=True),
        leading_ids=False,
    )


def think(chain: Chain, tokenizer: Any, control: Sequence[str], think_tags: ThinkTags | None = None) -> ChainText:
    r"""Put the reasoning where the model thinks.

    - prompt: the template over [system message, if any; user: question], up to where it writes the reasoning, encoded
      with no further special tokens.
    - reasoning: ``reasoning`` encoded.
    - answer: what the template writes between reasoning and answer encoded, ``answer`` encoded, then what it writes
      after the answer to the end of the turn encoded; the three apart.

    What the template writes is what it makes of an assistant's message with its reasoning in a field of its own
    (``reasoning_content``, ``thinking`` or ``reasoning``) or as a part of its content: tags (Qwen3), or a channel
    (gpt-oss). The spans joined are that rendering. It counts more than the generation prompt, which may open the
    thinking (DeepSeek-R1), or close it unasked (Qwen3.5).

    Some templates have tags but write no reasoning (DeepSeek-R1's cuts it off). If their generation prompt opens the
    thinking, by itself or with thinking switched on (DeepSeek-V3.1), it is kept as it is, and the closing tag mirrors
    its white space. If it neither opens nor closes the thinking, the tags are ``"<think>\n"`` and
    ``"\n</think>\n\n"``, with the names that the template mentions.

    With `think_tags`, the opening tag follows the generation prompt, unless that ends with it already; an empty or
    closed thinking at its end is taken off.

    Raises
    ------
    TokenizationError
        If there is no template, or it has no tags and none are given; if its generation prompt closes the thinking and
        it writes no reasoning; if the reasoning holds thinking tags of its own; and as for `chat`.
    """
    template = ChatTemplate(chain, tokenizer)
    _check_no_tags(chain, think_tags)
    turn = template.reasoning_turn() if think_tags is None else None
    if turn is None:
        turn = _turn_with_tags(template, tag_names(template_source(tokenizer) or ""), think_tags)
    else:
        turn = template.fitted(turn)
    return ChainText(
        format="think",
        prompt=template.prompt_pieces(turn.before, control),
        before_answer=Piece(turn.between, markup=True),
        after_answer=Piece(turn.after, markup=True),
        leading_ids=False,
    )


def _turn_with_tags(template: ChatTemplate, names: ThinkTags | None, think_tags: ThinkTags | None) -> Turn:
    """Return the turn of a template that writes no reasoning, with its tags put around it."""
    after = template.after_answer()
    where = template.chain.where
    if think_tags is not None:
        opening, closing = think_tags
        generation = template.generation_prompt()
        if not opening.strip() or not generation.rstrip().endswith(opening.strip()):
            generation = _without_closed_thinking(generation, [tags for tags in (names, think_tags) if tags]) + opening
        return Turn(generation, closing, after)
    if names is None:
        raise TokenizationError(
            f"{where}: the chat template has no thinking tags; give them (think_tags=('<think>\\n', "
            "'\\n</think>\\n\\n'), or --think-tags) or use prompt format 'chat'"
        )
    opened = template.opened_generation_prompt(names[0])
    if opened is not None:
        spaced = opened != opened.rstrip()
        return Turn(opened, f"\n{names[1]}\n\n" if spaced else names[1], after)
    generation = template.generation_prompt()
    if generation.rstrip().endswith(names[1]):
        raise TokenizationError(
            f"{where}: the chat template closes the thinking before the model responds ({_tail(generation)}) and "
            "writes no reasoning; give the tags (think_tags=('<think>\\n', '\\n</think>\\n\\n'), or --think-tags) or "
            "use prompt format 'chat'"
        )
    return Turn(f"{generation}{names[0]}\n", f"\n{names[1]}\n\n", after)


def _without_closed_thinking(generation: str, tags: Sequence[ThinkTags]) -> str:
    """Return a generation prompt without the closed thinking that it ends with, if it does."""
    for opening, closing in tags:
        if closing.strip():
            closed = rf"(?:{re.escape(opening.strip())}\s*)?{re.escape(closing.strip())}\s*\Z"
            generation = re.sub(closed, "", generation)
    return generation


def _check_no_tags(chain: Chain, think_tags: ThinkTags | None) -> None:
    """Refuse a reasoning with thinking tags in it, which the format would write a second time."""
    text = chain.reasoning.strip()
    opening, closing = (tag.strip() for tag in think_tags or ("", ""))
    tag = marking_tag(text)
    if opening and text.startswith(opening):
        tag = opening
    elif closing and text.endswith(closing):
        tag = closing
    if tag is not None:
        raise TokenizationError(
            f"{chain.where}: the reasoning holds the tag {tag!r}, which prompt format 'think' writes around it; take "
            "it out of the chain (tokimp.load_chains does, where a pair stands around the reasoning), or use prompt "
            "format 'chat' or 'plain'"
        )


def _one_text(reasoning: str, answer: str) -> dict[str, str]:
    return {"content": f"{reasoning}\n{answer}"}


def choose(tokenizer: Any, think_tags: ThinkTags | None = None) -> str:
    """Return what ``auto`` means for a tokenizer.

    ``think`` if `think_tags` are given, or its template has thinking tags or writes a message's reasoning; else
    ``chat`` if it has a template, else ``plain``.
    """
    source = template_source(tokenizer)
    if think_tags is not None:
        # Without a template, the format itself says that it needs one.
        return "think"
    if source is None:
        return "plain"
    if tag_names(source) is not None:
        return "think"
    if "thinking" not in source and "reasoning" not in source:
        return "chat"
    probe = ChatTemplate(Chain("probe", "question", "reasoning", "answer"), tokenizer)
    return "chat" if probe.reasoning_turn() is None else "think"


def _tail(text: str) -> str:
    return repr(text[-60:])
