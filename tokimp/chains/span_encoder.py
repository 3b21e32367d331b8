"""A tokenizer that encodes the spans of a chain apart, and says which characters each token covers."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from tokenizers import Encoding, Tokenizer

from tokimp.chains.chain import Ids
from tokimp.chains.chain_text import ChainText, Piece
from tokimp.chains.chat_template import template_source
from tokimp.errors import TokenizationError

_SHOWN = 20  # characters of a text that a message shows


class SpanEncoder:
    """A tokenizer that can encode a span from the middle of a text, and can take a control string for plain text.

    It works on a copy of the tokenizer that puts nothing before a text (BOS, dummy prefix, prefix space), and in which
    control tokens can be switched off. Control tokens are the special tokens, and those added tokens that the chat
    template writes (Qwen3's ``<think>`` is not special).

    Parameters
    ----------
    tokenizer
        A fast tokenizer of transformers. Use `of`, which makes one encoder per tokenizer.

    Attributes
    ----------
    leading_ids
        The ids that the tokenizer puts before every text when it adds special tokens (a BOS, or nothing).
    control
        The strings of the tokenizer's control tokens.
    """

    _cache: ClassVar[WeakKeyDictionary[Any, tuple[tuple[int, str], SpanEncoder]]] = WeakKeyDictionary()

    @classmethod
    def of(cls, tokenizer: Any) -> SpanEncoder:
        """Return the encoder of a tokenizer; a new one is made only after its vocabulary or template has changed.

        Raises
        ------
        TokenizationError
            If the tokenizer is not a fast one.
        """
        if not getattr(tokenizer, "is_fast", False):
            raise TokenizationError(
                f"{type(tokenizer).__name__} is no fast tokenizer, so it cannot say which characters a token covers; "
                "load it with AutoTokenizer.from_pretrained, or convert it to a tokenizer.json"
            )
        state = (len(tokenizer), template_source(tokenizer) or "")
        cached = cls._cache.get(tokenizer)
        if cached is None or cached[0] != state:
            cached = (state, cls(tokenizer))
            cls._cache[tokenizer] = cached
        return cached[1]

    def __init__(self, tokenizer: Any) -> None:
        self._decode = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        layout = json.loads(self._decode.to_str())
        layout.update(post_processor=None, truncation=None, padding=None)
        template = template_source(tokenizer) or ""
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
        """Return the ids of pieces, each encoded on its own, joined.

        Parameters
        ----------
        pieces
            The pieces, in order.
        opens_text
            Whether the first of them is the start of the whole text.
        where
            The chain's name, for messages.

        Raises
        ------
        TokenizationError
            If data turns into a control token.
        """
        ids: list[int] = []
        for position, piece in enumerate(pieces):
            opening = opens_text and position == 0
            if piece.markup:
                ids += _ids(self._opening if opening else self._inside, piece.text, markup=True)
                continue
            # The dummy prefix is written out here. Left to itself, Metaspace puts none before a text that begins with
            # a space, and decoding then takes that space for the prefix.
            prefix = " " if opening and self._has_prefix else ""
            data_ids = _ids(self._inside, prefix + piece.text, markup=False)
            self._check_data(data_ids, where)
            ids += data_ids
        return tuple(ids)

    def encode_prompt(self, text: ChainText, *, where: str) -> Ids:
        """Return the ids of everything before the reasoning."""
        return (self.leading_ids if text.leading_ids else ()) + self.encode(text.prompt, opens_text=True, where=where)

    def encode_with_offsets(self, text: str, *, where: str) -> tuple[Ids, tuple[tuple[int, int], ...]]:
        """Return the ids of a span of data, and the characters ``(start, end)`` of `text` that each id covers.

        Raises
        ------
        TokenizationError
            If a character is covered by no token, or data turns into a control token.
        """
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
        """Whether a text came back as it was, or differs only in what this tokenizer always changes.

        A tokenizer that composes may change text to the Unicode form NFC. White space next to control tokens may change
        if the control tokens swallow it, or if the tokenizer puts its dummy prefix after them.
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
    """Return a text in form NFC, and for each of its characters the ``(start, end)`` in `text` that it was made of.

    This is needed because a tokenizer that composes by itself reports only the first of these characters. The second
    value is ``None`` if the text is in that form already.
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
    """Whether a character may combine with the end of the text before it, or change places with it."""
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
    n_leading = next((n for n in range(len(full)) if full[n : n + len(bare)] == bare), 0)
    return tuple(full[:n_leading])
