"""Words of a token classifier, the characters they cover, and the values they give to another model's tokens."""

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
        The word as the classifier's tokenizer spells it.
    probability
        The probability that it is to be kept: the mean over the classifier's tokens in it.
    weight
        How often it counts when a rate is turned into a threshold: its number of tokens.
    spans
        The characters ``(start, end)`` of the text that it covers, one pair a token; empty if they are not known.
    """

    text: str
    probability: float
    weight: int
    spans: tuple[tuple[int, int], ...]


def align(classified: Sequence[str], text: Sequence[str], offsets: Offsets) -> list[tuple[tuple[int, int], ...]]:
    """Return the characters of the text that each classified token covers.

    LLMLingua cuts a text into chunks, turns each back into a string and tokenises it again. Its tokens can therefore
    differ from those of the text: if a chunk begins within a word, or if turning it back changes characters.

    Parameters
    ----------
    classified
        The spelling of each token that was classified, without marks of where words begin.
    text
        The spelling of each token of the whole text.
    offsets
        The characters ``(start, end)`` that each token of the whole text covers.

    Returns
    -------
    list of tuple of tuple of int
        For each classified token, the ``(start, end)`` of every token of the text that it shares a character with.

    Examples
    --------
    >>> align(["do", "n't"], ["do", "not"], [(0, 2), (3, 6)])
    [((0, 2),), ((3, 6),)]
    """
    ours, theirs = ("".join(pieces) for pieces in (classified, text))
    owner = [index for index, piece in enumerate(text) for _ in piece]
    place: list[int | None] = [None] * len(ours)
    # If the spellings differ, characters are matched in order, each to at most one place.
    for match in SequenceMatcher(None, ours, theirs, autojunk=False).get_matching_blocks() if ours != theirs else ():
        place[match.a : match.a + match.size] = owner[match.b : match.b + match.size]
    if ours == theirs:
        place = list(owner)
    spans, begin = [], 0
    for piece in classified:
        owners = sorted({index for index in place[begin : begin + len(piece)] if index is not None})
        spans.append(tuple(offsets[index] for index in owners))
        begin += len(piece)
    return spans


def token_values(chain: TokenizedChain, words: Sequence[Word], values: Sequence[float]) -> FloatArray:
    """Return for each reasoning token the highest value of a word with which it shares a visible character.

    A token of whitespace only belongs to what follows it, so it has the value of the next visible character, or of the
    last one at the very end. A token that shares no character with a word has 0.

    Parameters
    ----------
    chain
        The chain whose reasoning was classified.
    words
        The words of the reasoning.
    values
        One value a word, 0 or more.

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
    # A token's range starts at its first visible character, or else the next one, or else the last one.
    starts, ends = np.searchsorted(places, np.array(chain.reasoning_offsets)).T
    starts = np.minimum(starts, len(places) - 1)
    return np.array([at[places[a : max(a + 1, b)]].max() for a, b in zip(starts, ends, strict=True)])
