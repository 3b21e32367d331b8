r"""Sentences of a reasoning text, found by sentencex, with mathematics and code kept whole.

A sentence ends at a newline outside mathematics and code, and where sentencex ends it, with the corrections of
`tokimp.chains.sentence_borders`.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache

from sentencex import get_sentence_boundaries

from tokimp.chains.sentence_borders import (
    after_closers,
    goes_on,
    has_words,
    likely_ends,
    may_end,
    missed_ends,
    value_before_stop,
)
from tokimp.chains.undivided import masked, undivided_spans

__all__ = ["first_visible", "line_starts", "sentence_starts"]

# The first word of a character's Unicode name, and the language whose marks a text in that script is read by.
_LANGUAGES = {
    "ARABIC": "ar",
    "ARMENIAN": "hy",
    "BENGALI": "bn",
    "CJK": "zh",
    "CYRILLIC": "ru",
    "DEVANAGARI": "hi",
    "ETHIOPIC": "am",
    "GREEK": "el",
    "GUJARATI": "gu",
    "GURMUKHI": "pa",
    "HANGUL": "ko",
    "HEBREW": "he",
    "HIRAGANA": "ja",
    "KANNADA": "kn",
    "KATAKANA": "ja",
    "KHMER": "km",
    "MALAYALAM": "ml",
    "MYANMAR": "my",
    "TAMIL": "ta",
    "TELUGU": "te",
    "THAI": "th",
}


def sentence_starts(text: str, language: str = "auto") -> list[int]:
    r"""Return where each sentence begins: its first character that is not white space.

    Parameters
    ----------
    text
        The text.
    language
        The language whose abbreviations and marks count, as a code such as ``de``; ``auto`` goes by the script that
        most letters are of, and takes English for Latin letters.

    Examples
    --------
    >>> sentence_starts("Mr. Ray pays 3.5 each. So he pays 7.\nDone!")
    [0, 23, 37]
    >>> sentence_starts("There are $3! = 6.$ Then 7! ways.")
    [0, 20]
    """
    spans = undivided_spans(text)
    plain = masked(text, spans)
    if language == "auto":
        language = _language(plain)
    starts: list[int] = []
    for begin, end in _pieces(plain, language):
        start = first_visible(text, begin, end)
        # Symbols alone belong to the sentence before them, and at the beginning of the text to the one after them.
        if start is not None and (has_words(text[start:end]) or not starts):
            starts.append(start)
    if len(starts) > 1 and not has_words(text[: starts[1]]):
        del starts[1]
    return starts


def _pieces(plain: str, language: str) -> Iterator[tuple[int, int]]:
    """Yield the characters ``(begin, end)`` of each sentence of a text whose mathematics and code are masked."""
    position = 0
    previous = ""
    for line in plain.splitlines(keepends=True):
        begin = 0
        for end in _ends(line, previous, language):
            yield position + begin, position + end
            begin = end
        position += len(line)
        previous = line if line.strip() else ""


def _ends(line: str, previous: str, language: str) -> Sequence[int]:
    """Return where the sentences of a line end, in order; the last is the end of the line."""
    if not line.strip():
        return [len(line)]
    proposed = {boundary["end_index"] for boundary in get_sentence_boundaries(language, line)}
    proposed = {end for end in proposed if may_end(line[:end])} | set(likely_ends(line))
    certain = set(missed_ends(line))
    value = value_before_stop(line, previous)
    if value is not None:
        certain.add(value)
    ends: list[int] = []
    begin = 0
    for end in sorted(proposed | certain):
        closed = after_closers(line, end)
        if begin < closed < len(line) and (end in certain or not goes_on(line, begin, closed)):
            ends.append(closed)
            begin = closed
    return [*ends, len(line)]


def line_starts(text: str) -> list[int]:
    r"""Return where each line with something on it begins; a block of mathematics or code is on one line.

    >>> line_starts("So\n\n$$\nx\n$$\nDone")
    [0, 4, 12]
    """
    plain = masked(text, undivided_spans(text))
    starts = []
    position = 0
    for line in plain.splitlines(keepends=True):
        start = first_visible(text, position, position + len(line))
        if start is not None:
            starts.append(start)
        position += len(line)
    return starts


def first_visible(text: str, begin: int, end: int) -> int | None:
    """Return the first character from `begin` to before `end` that is not white space, or ``None``."""
    return next((place for place in range(begin, end) if not text[place].isspace()), None)


def _language(text: str) -> str:
    """Return the language of the script that most letters are of."""
    scripts = Counter(_script(character) for character in text if not character.isascii())
    n_latin = sum(character.isalpha() for character in text if character.isascii())
    # Kana tells Japanese from Chinese, with which it shares most of its characters.
    if scripts["HIRAGANA"] + scripts["KATAKANA"] > 0 and scripts["CJK"] + scripts["HIRAGANA"] > n_latin:
        return "ja"
    known = [(count, script) for script, count in scripts.items() if script in _LANGUAGES]
    count, script = max(known, default=(0, ""))
    return _LANGUAGES[script] if 2 * count > n_latin else "en"


@lru_cache(maxsize=4096)
def _script(character: str) -> str:
    return unicodedata.name(character, "").partition(" ")[0].partition("-")[0]
