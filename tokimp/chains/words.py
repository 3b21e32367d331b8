"""Words of a reasoning text: runs without white space, divided further in scripts that write none between words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from icu4py.breakers import WordBreaker

__all__ = ["word_starts"]

_RUN = re.compile(r"\S+")
# Scripts without white space between words (Unicode's line-breaking classes ID and SA): Chinese, Japanese, Thai, Lao,
# Myanmar, Khmer and their relatives. Tibetan, which marks syllables instead of words, is divided at those.
_UNSPACED = re.compile(
    r"[\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"
    r"\u3400-\u4dbf\u4e00-\u9fff\ua9e0-\ua9ff\uaa60-\uaadf\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff]"
)
_OPENING = {"Ps", "Pi"}


def word_starts(text: str) -> list[int]:
    """Return where each word begins.

    A word is a run of characters without white space, as in ``3.5,`` or ``x=3``. Where a run holds a script that is
    written without white space between words, it is divided at the word borders of Unicode's rules and dictionaries
    (ICU) beside that script. Punctuation stays with the word before it, and an opening bracket with the one after it.

    >>> word_starts(" so 3 + 4")
    [1, 4, 6, 8]
    >>> word_starts("他有3个苹果。")
    [0, 2, 3, 4]
    """
    starts: list[int] = []
    for match in _RUN.finditer(text):
        starts.append(match.start())
        if _UNSPACED.search(match.group()):
            starts += [match.start() + border for border in _borders(match.group())]
    return starts


def _borders(run: str) -> Iterator[int]:
    """Yield where words begin inside a run without white space, without its first character."""
    # Dictionaries are chosen by the script of the text, whatever the locale is.
    opening: int | None = None
    word = ""
    end = 0
    for segment in WordBreaker(run, "en"):
        start, end = end, end + len(segment)
        if not any(unicodedata.category(character)[0] in "LNM" for character in segment):
            # Any other punctuation belongs to the word before it.
            opens = unicodedata.category(segment[0]) in _OPENING
            opening = (start if opening is None else opening) if opens else None
            continue
        border = start if opening is None else opening
        if border > 0 and (_UNSPACED.search(segment) or _UNSPACED.search(word)):
            yield border
        opening, word = None, segment
