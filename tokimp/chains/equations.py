r"""Equations of a reasoning text, and the text between them.

An equation is a block of LaTeX, or a run of numbers, single letters and signs that has a sign between two of them
(``16 - 3 = 13``, ``x=2``, ``<<9*2=18>>``).
"""

from __future__ import annotations

import re

from tokimp.chains.sentences import first_visible, sentence_starts
from tokimp.chains.undivided import undivided_spans

_OPERAND = r"[($€£]*(?:\d[\d.,]*(?<![.,])%?|(?<![^\W\d_])[A-Za-z](?![^\W\d_]))!?[)%]*"
_SIGN = r"\s*(?:[-+*/×÷·=<>≤≥≈≠^−]|==|<=|>=)\s*[-−]?"  # noqa: RUF001 - signs of mathematics are meant
_PLAIN = re.compile(
    rf"<<[^<>\n]*>>|(?<![\w.]){_OPERAND}(?:{_SIGN}{_OPERAND})+(?:\s*=?\s*<<[^<>\n]*>>[\d.,]*(?<![.,]))?|<<[^<>\n]*>>"
)


def equation_starts(text: str) -> list[int]:
    r"""Return where each equation begins, and each sentence or part of a sentence between equations.

    >>> text = "She has 16 - 3 = 13 eggs. She sells them."
    >>> starts = equation_starts(text)
    >>> [text[start:end] for start, end in zip(starts, [*starts[1:], None])]
    ['She has ', '16 - 3 = 13 ', 'eggs. ', 'She sells them.']
    """
    blocks = undivided_spans(text)
    blocks += [
        match.span()
        for match in _PLAIN.finditer(text)
        if not any(start < match.end() and match.start() < end for start, end in blocks)
    ]
    borders = set(sentence_starts(text))
    for start, end in blocks:
        borders = {border for border in borders if not start < border < end} | {start}
        following = first_visible(text, end, len(text))
        # Punctuation right after an equation stays with it.
        while following is not None and following == end and not text[end].isalnum() and text[end] not in "$\\([":
            end += 1  # noqa: PLW2901 - the equation grows by the mark
            following = first_visible(text, end, len(text))
        if following is not None:
            borders.add(following)
    return sorted(borders)
