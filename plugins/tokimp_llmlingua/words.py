"""Words of a token classifier, the characters they cover, and what they say about the tokens of another model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

import numpy as np

from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain

Offsets = Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Word:
    """A word as LLMLingua-2 sees it.

    Attributes
    ----------
    text
        As the classifier's tokenizer spells it.
    probability
        That it is to be kept: the mean over the classifier's tokens of the word.
    weight
        How often it counts when a rate is turned into a threshold: its number of tokens.
    spans
        The characters ``(start, end)`` of the text it covers, one pair a token; none where they cannot be found.
    """

    text: str
    probability: float
    weight: int
    spans: tuple[tuple[int, int], ...]


def align(found: Sequence[str], text: Sequence[str], offsets: Offsets) -> list[tuple[tuple[int, int], ...]]:
    """Return the characters that each of some tokens covers, given those of nearly the same tokens.

    LLMLingua cuts a text into chunks, turns each back into a string and tokenises it anew, so that its tokens can
    differ from those of the text: where a chunk begins within a word, or where turning them back changes characters.

    Parameters
    ----------
    found
        What the tokens that were classified spell, without marks of where words begin.
    text
        What the tokens of the whole text spell.
    offsets
        The characters those cover.

    Returns
    -------
    list of tuple of tuple of int
        For each token found, the ``(start, end)`` of every token of the text that it shares a character with.

    Examples
    --------
    >>> align(["do", "n't"], ["do", "not"], [(0, 2), (3, 6)])
    [((0, 2),), ((3, 6),)]
    """
    ours, theirs = ("".join(pieces) for pieces in (found, text))
    owner = [index for index, piece in enumerate(text) for _ in piece]
    place: list[int | None] = [None] * len(ours)
    # Characters that are not spelled alike are matched in order, none to two places.
    for match in SequenceMatcher(None, ours, theirs, autojunk=False).get_matching_blocks() if ours != theirs else ():
        place[match.a : match.a + match.size] = owner[match.b : match.b + match.size]
    if ours == theirs:
        place = list(owner)
    spans, begin = [], 0
    for piece in found:
        owners = sorted({index for index in place[begin : begin + len(piece)] if index is not None})
        spans.append(tuple(offsets[index] for index in owners))
        begin += len(piece)
    return spans


def token_values(chain: TokenizedChain, words: Sequence[Word], values: Sequence[float]) -> FloatArray:
    """Return for each reasoning token the highest value of a word with which it shares a visible character.

    A token of whitespace alone has the value of the next visible character (of the last, at the very end), as it goes
    with what follows it; a token that shares a character with no word has 0.

    Parameters
    ----------
    chain
        Whose reasoning the words are those of.
    words, values
        One value a word, at least 0.

    Returns
    -------
    FloatArray
        [reasoning token], float64.
    """
    text = chain.chain.reasoning
    at = np.zeros(len(text))
    for word, value in zip(words, values, strict=True):
        for start, end in word.spans:
            at[start:end] = np.maximum(at[start:end], value)
    places = np.flatnonzero([not character.isspace() for character in text])
    # Of each token: its first visible character or else the next one or else the last, and the end of its own.
    starts, ends = np.searchsorted(places, np.array(chain.reasoning_offsets)).T
    starts = np.minimum(starts, len(places) - 1)
    return np.array([at[places[a : max(a + 1, b)]].max() for a, b in zip(starts, ends, strict=True)])
