"""Text to ids: prompt, reasoning and answer are tokenised apart, and joined they give the text back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tokimp.chains import prompt_format as formats
from tokimp.chains.answer_value import find_answer_value
from tokimp.chains.chain import Chain, Ids, TokenizedChain
from tokimp.chains.chain_text import ChainText, Piece
from tokimp.chains.datasets.correctness import split_answer
from tokimp.chains.prompt_format import PROMPT_FORMATS, PromptFormat
from tokimp.chains.span_encoder import SpanEncoder
from tokimp.chains.think_tags import ThinkTags
from tokimp.errors import TokenizationError

__all__ = ["encode_chain", "lay_out"]

_SHOWN = 20  # characters on each side of a difference


def encode_chain(
    chain: Chain, tokenizer: Any, prompt_format: PromptFormat = "auto", *, think_tags: ThinkTags | None = None
) -> TokenizedChain:
    r"""Turn a chain into the ids a model is given; each reasoning token is a unit of its own.

    `tokimp.contracts.tokenization.tokenize_chain` also divides the reasoning into other units.

    Prompt, reasoning and answer are tokenised apart, so that no token straddles a boundary. Joined, the three decode to
    the text again, which is checked for every chain. Only the prompt gets what a tokenizer puts at the start of a
    text (a BOS, the sentencepiece dummy prefix). Control strings such as ``<|im_end|>`` inside a chain's own texts are
    data and are encoded as text.

    Some tokenizers (Qwen's) bring text into the Unicode form NFC. It comes back in that form, which counts as the same
    text. Offsets refer to the chain's text as it was given.

    Parameters
    ----------
    chain
        The chain as text.
    tokenizer
        A fast tokenizer of transformers.
    prompt_format
        ``chat``, ``think`` or ``plain``: the functions of these names in `tokimp.chains.prompt_format` describe their
        ids. ``auto`` takes the first of ``think``, ``chat``, ``plain`` for which the tokenizer has what it needs.
    think_tags
        For ``think``: the opening and the closing tag with the white space around them, such as
        ``("<think>\n", "\n</think>\n\n")``; taken from the chat template by default.

    Raises
    ------
    TokenizationError
        If the format does not fit the tokenizer, or the ids do not give the text back; the message names the chain.
    """
    encoder = SpanEncoder.of(tokenizer)
    text = lay_out(chain, tokenizer, prompt_format, think_tags=think_tags)
    leading = encoder.leading_ids if text.leading_ids else ()
    prompt = encoder.encode_prompt(text, where=chain.where)
    reasoning, offsets = encoder.encode_with_offsets(chain.reasoning, where=chain.where)
    tokens = TokenizedChain(
        chain=chain,
        prompt_ids=prompt,
        reasoning_ids=reasoning,
        answer_ids=encoder.encode(text.answer(chain.answer), where=chain.where),
        reasoning_offsets=offsets,
        units=tuple((position,) for position in range(len(offsets))),
        prompt_format=text.format,
    )
    _check(text.pieces(chain.reasoning, chain.answer), tokens.input_ids[len(leading) :], encoder, chain.where)
    if chain.wrong_answer is not None:
        wrong = encoder.encode(text.answer(chain.wrong_answer), where=chain.where)
        ids = prompt[len(leading) :] + reasoning + wrong
        _check(text.pieces(chain.reasoning, chain.wrong_answer), ids, encoder, chain.where)
        tokens = replace(tokens, wrong_answer_ids=wrong)
    value = find_answer_value(reasoning, tokens.answer_ids, chain.answer, split_answer(chain.answer), tokenizer)
    return (
        tokens if value is None or value.begin == value.end else replace(tokens, answer_value=(value.begin, value.end))
    )


def lay_out(
    chain: Chain, tokenizer: Any, prompt_format: PromptFormat = "auto", *, think_tags: ThinkTags | None = None
) -> ChainText:
    """Return the texts around a chain's reasoning and answer, which `encode_chain` makes ids of.

    Parameters and errors are those of `encode_chain`.
    """
    if think_tags is not None and prompt_format not in ("think", "auto"):
        raise TokenizationError(f"think_tags belong to prompt format 'think', not {prompt_format!r}")
    control = SpanEncoder.of(tokenizer).control
    name = formats.choose(tokenizer, think_tags) if prompt_format == "auto" else prompt_format
    if name == "plain":
        return formats.plain(chain)
    if name == "chat":
        return formats.chat(chain, tokenizer, control)
    if name == "think":
        return formats.think(chain, tokenizer, control, think_tags)
    raise TokenizationError(f"there is no prompt format {name!r}; formats are {', '.join(PROMPT_FORMATS)}")


def _check(pieces: Sequence[Piece], ids: Ids, encoder: SpanEncoder, where: str) -> None:
    """Raise unless the ids, joined, decode to the text of the pieces."""
    expected, decoded = "".join(piece.text for piece in pieces), encoder.decode(ids)
    if encoder.same_text(expected, decoded):
        return
    at = next(
        (at for at, (a, b) in enumerate(zip(expected, decoded, strict=False)) if a != b),
        min(len(expected), len(decoded)),
    )
    nearby = slice(max(0, at - _SHOWN), at + _SHOWN)
    raise TokenizationError(
        f"{where}: the tokenizer does not give the text back; they differ first at character {at} of the whole text: "
        f"{expected[nearby]!r} became {decoded[nearby]!r}; change the text there, or use another tokenizer"
    )
