"""Text to ids: three spans tokenised apart, with the characters each reasoning token covers."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from tokenizers import Encoding, Tokenizer

from tokimp.chains import prompt_format as formats
from tokimp.chains.chain import Chain, Ids, TokenizedChain
from tokimp.chains.prompt_format import PROMPT_FORMATS, ChainText, Piece, PromptFormat, ThinkTags
from tokimp.chains.units import Unit, partition
from tokimp.errors import TokenizationError

__all__ = ["SpanEncoder", "lay_out", "tokenize_chain"]

_SHOWN = 20  # characters on each side of a difference


def tokenize_chain(
    chain: Chain,
    tokenizer: Any,
    prompt_format: PromptFormat = "auto",
    unit: Unit = "token",
    *,
    think_tags: ThinkTags | None = None,
) -> TokenizedChain:
    r"""Turn a chain into the ids a model is given.

    Prompt, reasoning and answer are tokenised apart, so that no token straddles a boundary, and joined they decode to
    the text again; both are checked for every chain. Only the prompt gets what a tokenizer puts at the start of a
    text (a BOS, the sentencepiece dummy prefix). Control strings such as ``<|im_end|>`` inside a chain's own texts are
    data and are encoded as text.

    Text that a tokenizer brings into Unicode form NFC (Qwen's do) comes back in that form; being canonically
    equivalent, it counts as the text. Offsets are into the chain's text as given.

    Parameters
    ----------
    chain
        The text.
    tokenizer
        A fast tokenizer of transformers.
    prompt_format
        ``chat``, ``think`` or ``plain``, whose ids `tokimp.chains.prompt_format.chat`, `~tokimp.chains.prompt_format.think` and
        `~tokimp.chains.prompt_format.plain` describe; ``auto`` takes the first of ``think``, ``chat``, ``plain`` for which the
        tokenizer has what it needs.
    unit
        What is deleted as a whole: ``token``, ``word`` or ``sentence`` (`tokimp.chains.units.partition`).
    think_tags
        For ``think``: opening and closing tag with the white space around them, such as
        ``("<think>\n", "\n</think>\n\n")``; taken from the chat template if not given.

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
        units=partition(chain.reasoning, offsets, unit),
        unit=unit,
        prompt_format=text.format,
    )
    _check(text.pieces(chain.reasoning, chain.answer), tokens.input_ids[len(leading) :], encoder, chain.where)
    if chain.wrong_answer is not None:
        wrong = encoder.encode(text.answer(chain.wrong_answer), where=chain.where)
        ids = prompt[len(leading) :] + reasoning + wrong
        _check(text.pieces(chain.reasoning, chain.wrong_answer), ids, encoder, chain.where)
        tokens = replace(tokens, wrong_answer_ids=wrong)
    return tokens


def lay_out(
    chain: Chain, tokenizer: Any, prompt_format: PromptFormat = "auto", *, think_tags: ThinkTags | None = None
) -> ChainText:
    """Return the texts around a chain's reasoning and answer; parameters and errors as of `tokenize_chain`."""
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


class SpanEncoder:
    """A tokenizer that encodes spans from the middle of a text, and text that only looks like a control token.

    It works on a copy of the tokenizer in which nothing is put before a text (BOS, dummy prefix, prefix space), and in
    which control tokens can be switched off. Control tokens are the special ones, and those added tokens that the chat
    template writes (Qwen3's ``<think>`` is not special).

    Attributes
    ----------
    leading_ids
        What the tokenizer puts before every text when it adds special tokens (a BOS, or nothing).
    control
        The strings of its control tokens.
    """

    _cache: ClassVar[WeakKeyDictionary[Any, tuple[tuple[int, str], SpanEncoder]]] = WeakKeyDictionary()

    @classmethod
    def of(cls, tokenizer: Any) -> SpanEncoder:
        """Return the encoder of a tokenizer, made once for as long as its vocabulary and template stay the same."""
        if not getattr(tokenizer, "is_fast", False):
            raise TokenizationError(
                f"{type(tokenizer).__name__} is no fast tokenizer, so it cannot say which characters a token covers; "
                "load it with AutoTokenizer.from_pretrained, or convert it to a tokenizer.json"
            )
        state = (len(tokenizer), formats.template_source(tokenizer) or "")
        known = cls._cache.get(tokenizer)
        if known is None or known[0] != state:
            known = (state, cls(tokenizer))
            cls._cache[tokenizer] = known
        return known[1]

    def __init__(self, tokenizer: Any) -> None:
        self._decode = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        layout = json.loads(self._decode.to_str())
        layout.update(post_processor=None, truncation=None, padding=None)
        template = formats.template_source(tokenizer) or ""
        control = []
        for token in layout["added_tokens"]:
            # Runs of white space are added tokens of some vocabularies; they are text wherever they stand.
            written = bool(token["content"].strip()) and token["content"] in template
            token["special"] = token["special"] or written
            if token["special"]:
                control.append(token)
        self.control: tuple[str, ...] = tuple(token["content"] for token in control)
        self._control_ids = frozenset(token["id"] for token in control)
        self._composes = '"NFC"' in json.dumps(layout["normalizer"])

        opening = Tokenizer.from_str(json.dumps(layout))
        without_prefix = {**layout, **{part: _without_prefix(layout[part]) for part in ("normalizer", "pre_tokenizer")}}
        self._inside = Tokenizer.from_str(json.dumps(without_prefix))
        # A dummy prefix is kept at the start of a text where decoding takes it off again; a prefix space that would
        # stay in the text is not.
        self._has_prefix = without_prefix != layout and self.decode(_ids(opening, "a", markup=True)) == "a"
        self._opening = opening if self._has_prefix else self._inside
        moves_spaces = self._has_prefix or any(token["lstrip"] or token["rstrip"] for token in control)
        self._around_control = (
            re.compile(r"\s*(" + "|".join(re.escape(string) for string in self.control) + r")\s*")
            if moves_spaces and control
            else None
        )
        self.leading_ids = _leading_ids(tokenizer)

    def encode(self, pieces: Sequence[Piece], *, opens_text: bool = False, where: str) -> Ids:
        """Return the ids of pieces encoded apart and joined; the first may open the text."""
        ids: list[int] = []
        for position, piece in enumerate(pieces):
            opening = opens_text and position == 0
            if piece.markup:
                ids += _ids(self._opening if opening else self._inside, piece.text, markup=True)
                continue
            # The dummy prefix, written out: left to itself, Metaspace puts none before a text that begins with a
            # space, and decoding then takes that space for the prefix.
            prefix = " " if opening and self._has_prefix else ""
            found = _ids(self._inside, prefix + piece.text, markup=False)
            self._check_data(found, where)
            ids += found
        return tuple(ids)

    def encode_prompt(self, text: ChainText, *, where: str) -> Ids:
        """Return the ids of everything before the reasoning."""
        return (self.leading_ids if text.leading_ids else ()) + self.encode(text.prompt, opens_text=True, where=where)

    def encode_with_offsets(self, text: str, *, where: str) -> tuple[Ids, tuple[tuple[int, int], ...]]:
        """Return the ids of a span of data, and the characters ``(start, end)`` of `text` that each covers."""
        composed, origins = _compose(text) if self._composes else (text, None)
        encoding = _encode(self._inside, composed, markup=False)
        self._check_data(encoding.ids, where)
        offsets = tuple((start, end) for start, end in encoding.offsets)
        if origins is not None:
            offsets = tuple((origins[start][0], origins[max(start, end - 1)][1]) for start, end in offsets)
        covered = 0
        previous = 0
        for start, end in offsets:
            if not previous <= start < end or start > covered:
                break
            previous, covered = start, max(covered, end)
        else:
            if covered == len(text):
                return tuple(encoding.ids), offsets
        raise TokenizationError(
            f"{where}: the tokenizer's tokens do not cover the reasoning character by character (from {covered} of "
            f"{len(text)} on: {text[covered : covered + _SHOWN]!r}); change the text there, or use another tokenizer"
        )

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids, control tokens included."""
        return str(self._decode.decode(list(ids), skip_special_tokens=False))

    def same_text(self, expected: str, decoded: str) -> bool:
        """Whether a text came back: as it was, or in the form this tokenizer cannot but give it.

        Allowed are canonical composition (NFC) if the tokenizer composes, and white space next to control tokens if
        its control tokens swallow it or it puts its dummy prefix after them.
        """
        if self._composes:
            expected, decoded = unicodedata.normalize("NFC", expected), unicodedata.normalize("NFC", decoded)
        if expected == decoded or self._around_control is None:
            return expected == decoded
        return self._around_control.sub(r"\1", expected) == self._around_control.sub(r"\1", decoded)

    def _check_data(self, ids: Sequence[int], where: str) -> None:
        for token_id in ids:
            if token_id in self._control_ids:
                raise TokenizationError(
                    f"{where}: the tokenizer makes the control token {self._inside.id_to_token(token_id)!r} of text "
                    "(an unknown character, or a control string it cannot spell out); remove it from the chain"
                )


def _encode(encoder: Tokenizer, text: str, *, markup: bool) -> Encoding:
    encoder.encode_special_tokens = not markup
    return encoder.encode(text, add_special_tokens=False)


def _ids(encoder: Tokenizer, text: str, *, markup: bool) -> list[int]:
    return list(_encode(encoder, text, markup=markup).ids)


def _compose(text: str) -> tuple[str, list[tuple[int, int]] | None]:
    """Return a text in form NFC, and for each of its characters the characters of `text` it was made of.

    A tokenizer that composes inside reports only the first of them. ``None``: the text is in that form already.
    """
    if unicodedata.is_normalized("NFC", text):
        return text, None
    composed, origins = "", []
    begin = 0
    for end in range(1, len(text) + 1):
        if end < len(text) and _interact(text[begin:end], text[end]):
            continue
        part = unicodedata.normalize("NFC", text[begin:end])
        composed += part
        origins += [(begin, end)] * len(part)
        begin = end
    return composed, origins


def _interact(text: str, character: str) -> bool:
    """Whether a character may compose with, or be sorted before, the end of the text it follows."""
    apart = unicodedata.normalize("NFC", text) + unicodedata.normalize("NFC", character)
    return unicodedata.combining(character) != 0 or unicodedata.normalize("NFC", text + character) != apart


def _without_prefix(part: Any) -> Any:
    """Return a normalizer's or pre-tokenizer's description without what it puts before a text."""
    if isinstance(part, list):
        return [_without_prefix(member) for member in part if not _is_prepend(member)]
    if not isinstance(part, dict):
        return part
    if _is_prepend(part):
        return None
    part = {key: _without_prefix(value) for key, value in part.items()}
    if part.get("type") == "Metaspace":
        part["prepend_scheme"] = "never"
    elif part.get("type") == "ByteLevel":
        part["add_prefix_space"] = False
    return part


def _is_prepend(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == "Prepend"


def _leading_ids(tokenizer: Any) -> Ids:
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    full = tokenizer("a", add_special_tokens=True)["input_ids"]
    before = next((n for n in range(len(full)) if full[n : n + len(bare)] == bare), 0)
    return tuple(full[:before])
