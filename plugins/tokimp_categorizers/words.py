"""The words of a text that get one category each: numbers, words, LaTeX commands and signs."""

from __future__ import annotations

import re
from collections.abc import Iterator

# A number with its decimals and thousands, a LaTeX command, a word with its apostrophe, or one sign.
_WORD = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?|\\[A-Za-z]+|[^\W\d_]+(?:['\u2019][^\W\d_]+)?|[^\s\w]|[\d_]")


def find_words(text: str) -> Iterator[tuple[int, int, str]]:
    r"""Yield start, end and text of each number, word, LaTeX command and sign, which together are all but the spaces.

    >>> [word for _, _, word in find_words("Ann's 1,200.5-3 \\times x")]
    ["Ann's", '1,200.5', '-', '3', '\\times', 'x']
    """
    for match in _WORD.finditer(text):
        yield match.start(), match.end(), match.group()
