r"""Units, which are deleted as a whole, made of tokens by the characters that the tokens cover.

One rule serves all units that are found in the text. A token belongs to the segment (word, sentence) of the first
character at or after its start that is not whitespace. So a token with a leading space goes with the word it opens, a
token of whitespace alone goes with what follows it (at the very end, with what precedes it). A token that straddles two
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

import numpy as np

from tokimp.chains.arrays import IntArray
from tokimp.chains.chain import Chain, TokenizedChain

__all__ = ["Offsets", "partition", "token_categories", "token_filler", "token_filler_kinds", "token_units"]

Offsets = Sequence[tuple[int, int]]

_VISIBLE = re.compile(r"\S")


def partition(reasoning: str, offsets: Offsets, starts: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    r"""Divide reasoning tokens into units, by where the segments of the text begin.

    Parameters
    ----------
    reasoning
        The text.
    offsets
        For each token the characters ``(start, end)`` it covers, starts ascending (not strictly).
    starts
        The character at which each segment begins, ascending. See the module's text for what happens to tokens at
        borders.

    Returns
    -------
    tuple of tuple of int
        The positions of each unit's tokens. Every unit is a non-empty run; together they hold every position once.

    Examples
    --------
    >>> partition("So 3+4", [(0, 2), (2, 4), (4, 5), (5, 6)], [0, 3])
    ((0,), (1, 2, 3))
    """
    units: list[list[int]] = []
    current = None
    covered = 0
    for position, (start, end) in enumerate(offsets):
        visible = _VISIBLE.search(reasoning, start)
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


def token_filler_kinds(chain: Chain, offsets: Offsets) -> tuple[str, ...]:
    """Return the kind of filler that each reasoning token is; empty for tokens that are none, or of no known kind.

    A token has the kind of the span that covers most of its non-space characters, if it is filler at all
    (`token_filler`).

    Parameters
    ----------
    chain, offsets
        As of `token_filler`.
    """
    if chain.filler_kinds is None:
        return ("",) * len(offsets)
    spans = [(set(range(*span)), kind) for span, kind in zip(chain.filler or (), chain.filler_kinds, strict=True)]
    return tuple(
        max(spans, key=lambda span: len(span[0].intersection(range(start, end))))[1] if mark == 1 else ""
        for mark, (start, end) in zip(token_filler(chain, offsets), offsets, strict=True)
    )


def token_units(chain: TokenizedChain) -> IntArray:
    """Return the index of each reasoning token's unit, [token]."""
    owner = np.full(len(chain.reasoning_ids), -1, dtype=np.int64)
    for index, unit in enumerate(chain.units):
        owner[list(unit)] = index
    return owner
