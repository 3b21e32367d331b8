r"""Units, which are deleted as a whole: tokens, words or sentences, found by the characters that tokens cover.

One rule serves words and sentences. A token belongs to the segment (word, sentence) of the first character at or
after its start that is not whitespace. So a token with a leading space goes with the word it opens, a token of
whitespace alone goes with what follows it (at the very end, with what precedes it). A token that straddles two
segments (``".\nSo"``, ``"a b"``) goes, as a whole, with the first of them. Tokens that share a character, because its
bytes are split over them, stay together: a token that begins within its predecessor joins the predecessor's unit.

So every unit is a run of neighbouring tokens. A segment has no unit of its own if no token's first non-space character
lies in it: its characters belong to the unit before.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from tokimp.chains.arrays import IntArray
from tokimp.chains.chain import Chain, TokenizedChain
from tokimp.errors import TokenizationError

__all__ = [
    "UNITS",
    "Unit",
    "partition",
    "sentence_starts",
    "token_categories",
    "token_filler",
    "token_units",
    "word_starts",
]

Unit = Literal["token", "word", "sentence"]
UNITS: tuple[Unit, ...] = get_args(Unit)
Offsets = Sequence[tuple[int, int]]

_WORD = re.compile(r"\S+")
# A newline always ends a sentence. So do . ! ? and closing marks before whitespace, and the full-width stops.
_SENTENCE_END = re.compile(r"\n+|[.!?]+[\"'”’)\]*]*(?=\s)|[。！？]+[”’」』）]*")  # noqa: RUF001 - Chinese stops are meant
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\[\"'])(?:e\.g|i\.e|cf|vs|viz|resp|approx|Mr|Mrs|Ms|Dr|Prof|St|Fig|Figs|Eq|Eqs|Thm|Ex)\.$"
)
_BEFORE_NUMBER = re.compile(r"(?:^|[\s(\[])(?:No|no|Nos|nos|pp|p|Sec|Ch|Vol)\.$")
_ENUMERATOR = re.compile(r"(?:^|\n)[ \t]*\(?\d{1,3}\.$")
_LOOK_BACK = 16  # longer than any abbreviation above


def word_starts(text: str) -> list[int]:
    """Return where each word begins: each run of characters without whitespace.

    >>> word_starts(" so 3 + 4")
    [1, 4, 6, 8]
    """
    return [match.start() for match in _WORD.finditer(text)]


def sentence_starts(text: str) -> list[int]:
    r"""Return where each sentence begins: its first character that is not whitespace.

    A sentence ends at a newline, at ``.``, ``!`` or ``?`` before whitespace (closing quotes and brackets included), and
    at a full-width stop. Decimals (``3.5``), common abbreviations (``e.g.``, ``Mr.``, ``No. 3``) and the number that
    opens a list item (``1. First``) end none.

    >>> sentence_starts("Mr. Ray pays 3.5 each. So he pays 7.\nDone!")
    [0, 23, 37]
    """
    starts: list[int] = []
    begin = 0
    ends = [match.end() for match in _SENTENCE_END.finditer(text) if not _goes_on(text, match)]
    for end in [*ends, len(text)]:
        first = _WORD.search(text, begin, end)
        if first is not None:
            starts.append(first.start())
        begin = end
    return starts


def _goes_on(text: str, stop: re.Match[str]) -> bool:
    """Whether a full stop belongs to an abbreviation or to the number of a list item."""
    if stop.group() != ".":
        return False
    up_to_stop = text[max(0, stop.end() - _LOOK_BACK) : stop.end()]
    if _ABBREVIATION.search(up_to_stop) or _ENUMERATOR.search(up_to_stop):
        return True
    return bool(_BEFORE_NUMBER.search(up_to_stop)) and bool(re.match(r"\s\d", text[stop.end() :]))


def partition(reasoning: str, offsets: Offsets, unit: str) -> tuple[tuple[int, ...], ...]:
    r"""Divide reasoning tokens into the units that are deleted as a whole.

    Parameters
    ----------
    reasoning
        The text.
    offsets
        For each token the characters ``(start, end)`` it covers, starts ascending (not strictly).
    unit
        ``token``, ``word`` or ``sentence``; see the module's text for what happens to tokens at borders.

    Returns
    -------
    tuple of tuple of int
        The positions of each unit's tokens. Every unit is a non-empty run; together they hold every position once.

    Raises
    ------
    TokenizationError
        If the unit is unknown.

    Examples
    --------
    >>> partition("So 3+4", [(0, 2), (2, 4), (4, 5), (5, 6)], "word")
    ((0,), (1, 2, 3))
    """
    if unit == "token":
        return tuple((position,) for position in range(len(offsets)))
    if unit == "word":
        starts = word_starts(reasoning)
    elif unit == "sentence":
        starts = sentence_starts(reasoning)
    else:
        raise TokenizationError(f"there is no unit {unit!r}; units are {', '.join(UNITS)}")

    units: list[list[int]] = []
    current = None
    covered = 0
    for position, (start, end) in enumerate(offsets):
        visible = _WORD.search(reasoning, start)
        segment = bisect_right(starts, visible.start()) if visible is not None else current
        # A character shared with the token before decides, even if the token's own first character opens a segment.
        if units and (start < covered or segment == current):
            units[-1].append(position)
        else:
            units.append([position])
            current = segment
        covered = max(covered, end)
    return tuple(tuple(members) for members in units)


def token_categories(chain: Chain, offsets: Offsets) -> tuple[str, ...]:
    """Return the category of each reasoning token.

    It is the label of the span that covers most of the token's non-space characters; if two cover as many, the earlier
    one. It is empty if no span covers any.

    Parameters
    ----------
    chain
        The chain, with its ``category`` spans.
    offsets
        For each token the characters ``(start, end)`` of ``chain.reasoning`` it covers.
    """
    spans = sorted(chain.category, key=lambda span: (span.start, span.end))
    labels = []
    for start, end in offsets:
        label, most = "", 0
        for span in spans:
            shared = chain.reasoning[max(start, span.start) : min(end, span.end)]
            visible = sum(not character.isspace() for character in shared)
            if visible > most:
                label, most = span.label, visible
        labels.append(label)
    return tuple(labels)


def token_filler(chain: Chain, offsets: Offsets) -> tuple[float, ...]:
    """Return 1 for each reasoning token that is filler and 0 for the others; NaN if the chain says nothing of filler.

    A token is filler when more than half of its non-space characters lie in spans of filler.

    Parameters
    ----------
    chain
        The chain, with its ``filler`` spans.
    offsets
        For each token the characters ``(start, end)`` of ``chain.reasoning`` it covers.
    """
    if chain.filler is None:
        return (math.nan,) * len(offsets)
    filler_places = {place for start, end in chain.filler for place in range(start, end)}
    marks = []
    for start, end in offsets:
        visible = [place for place in range(start, end) if not chain.reasoning[place].isspace()]
        marks.append(float(2 * len(filler_places.intersection(visible)) > len(visible)))
    return tuple(marks)


def token_units(chain: TokenizedChain) -> IntArray:
    """Return the index of each reasoning token's unit, [token]."""
    owner = np.full(len(chain.reasoning_ids), -1, dtype=np.int64)
    for index, unit in enumerate(chain.units):
        owner[list(unit)] = index
    return owner
