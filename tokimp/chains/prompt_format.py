"""Prompt formats: the texts that stand before the reasoning, and before and after the answer.

A format makes text, in pieces; `tokimp.chains.tokenization` makes ids of each piece.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

from tokimp.chains.chain import Chain
from tokimp.chains.chain_text import ChainText, Piece
from tokimp.chains.chat_template import ChatTemplate, ThinkTags, tag_names, template_source
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

    The tags, with the white space around them, are `think_tags` if given. Otherwise they are what the template writes
    around a message's reasoning (field ``reasoning_content``, ``thinking`` or ``reasoning``: Qwen3). Some templates
    have tags but write no reasoning (DeepSeek-R1's strips it from earlier turns). Theirs are ``"<think>\n"`` and
    ``"\n</think>\n\n"``, with the tags they name; a generation prompt that already opens the thinking is kept as it is.

    Raises
    ------
    TokenizationError
        If there is no template, or it has no tags and none are given; and as for `chat`.
    """
    template = ChatTemplate(chain, tokenizer)
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


def _tail(text: str) -> str:
    return repr(text[-60:])
