"""The text of a value: without what only sets it (dollar signs, emphasis, text mode), and divided into its parts."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TEXT_MODE = re.compile(r"\\(?:text|mbox|textbf|textrm|textit|mathrm|mathbf|mathit|rm|bf)\s*\{([^{}]*)\}")
_EMPHASIS = re.compile(r"(__|\*|`)(.+)\1", re.DOTALL)
_BOLD = re.compile(r"(?<![\w)}])\*\*([^*]+)\*\*(?![\w({])")  # 2**3 is a power
_DELIMITERS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"))
_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{(.*)\}", re.DOTALL)
_DEGREES = re.compile(r"\^\s*(?:\\circ|\{\s*\\circ\s*\})|\\degree|\\textdegree")
# "1.2 x 10^3": the letter stands for the sign.
_TIMES_TEN = re.compile(r"(?<=[0-9])\s*[xX]\s*10\s*\^")
_SPACING = re.compile(r"\\[,;:!> ]|\\q?quad\b|~|\u00a0")
# What stands between thousands in print: 1{,}234 and 1,\!234 and 1\,234.
_THOUSANDS = re.compile(r"(?<=[0-9])(?:\{,\}|,\\!|\\[,;: ]|[\u00a0\u2009\u202f])(?=[0-9]{3}(?![0-9]))")
# Minus and dash, times, point, division, pi, infinity, plus or minus: signs that models write in place of commands.
_SIGNS = str.maketrans(
    {
        "\u2212": "-",
        "\u2013": "-",
        "\u00d7": r"\times ",
        "\u00b7": r"\cdot ",
        "\u00f7": "/",
        "\u03c0": r"\pi ",
        "\u221e": r"\infty ",
        "\u00b1": r"\pm ",
    }
)
_CONJUNCTION = re.compile(r",?\s+(?:and|or)\s+")
_PAIRS = {"(": ")", "[": "]", "{": "}"}


LONGEST_VALUE = 2000
"""The most characters of a value that is read; longer texts are what a model writes that repeats itself."""


def plain_form(text: str) -> str:
    r"""Return a value without what only sets it; one longer than `LONGEST_VALUE` as it is.

    >>> plain_form("**$1{,}234$.**"), plain_form(r"5\text{ cm}^2"), plain_form(r"90^\circ")
    ('1,234', '5 cm^2', '90°')
    """
    text = text.strip()
    if len(text) > LONGEST_VALUE:
        return text
    before = None
    while text != before:
        before = text
        text = _without_stop(text)
        if emphasis := _EMPHASIS.fullmatch(text):
            text = emphasis[2].strip()
        text = _BOLD.sub(r"\1", text).removeprefix("**").removesuffix("**").removeprefix("=").strip()
        for opening, closing in _DELIMITERS:
            inner = text[len(opening) : -len(closing)]
            if len(text) > len(opening) + len(closing) and text.startswith(opening) and text.endswith(closing):
                text = text if opening in inner and opening[0] == "$" else inner.strip()
        if box := _BOX.fullmatch(text):
            text = box[1].strip()
    text = _THOUSANDS.sub(",", text.translate(_SIGNS))
    text = re.sub(r"\\left(?![a-z])|\\right(?![a-z])|\\!", "", text)
    text = _TIMES_TEN.sub(r"\\times 10^", text)
    text = _DEGREES.sub("°", text.replace(r"\$", "$").replace(r"\%", "%").replace(r"\#", "#"))
    previous = None
    while text != previous:
        previous, text = text, _TEXT_MODE.sub(r"\1", text)
    return _without_stop(" ".join(_SPACING.sub(" ", text).split()))


def _without_stop(text: str) -> str:
    """Take off what ends a sentence or a line; the point of ``a.m.`` stays."""
    if re.search(r"(?<![A-Za-z])[A-Za-z]\.[A-Za-z]\.\Z", text):
        return text
    return re.sub(r"(?<=[^.])[.,;]\Z", "", text).strip()


@dataclass(frozen=True, slots=True)
class Elements:
    """The parts of a list, set, tuple or interval.

    Attributes
    ----------
    parts
        The parts; a value that is no list is one part.
    brackets
        The brackets around them, such as ``(]``; empty for a list without brackets, and for a set.
    """

    parts: tuple[str, ...]
    brackets: str = ""

    @property
    def ordered(self) -> bool:
        """Whether the order counts, as in a tuple or an interval."""
        return bool(self.brackets)


def elements(text: str) -> Elements:
    r"""Return the parts of a list; ``\pm 3`` has two.

    >>> elements("1, 3 and 5").parts, elements("(2,3]"), elements(r"\{1,2\}").parts
    (('1', '3', '5'), Elements(parts=('2', '3'), brackets='(]'), ('1', '2'))
    """
    text = text.replace(r"\{", "{").replace(r"\}", "}") if text.startswith(r"\{") else text
    inner, brackets = text, ""
    if text[:1] in _PAIRS and text[-1:] in _PAIRS.values() and _closes_at_end(text):
        inner, brackets = text[1:-1], text[0] + text[-1]
    parts = _divided(_CONJUNCTION.sub(",", inner))
    if len(parts) < 2:
        return Elements(_signed(text))
    if brackets == "{}":
        brackets = ""
    return Elements(tuple(part for whole in parts for part in (_signed(whole) if not brackets else (whole,))), brackets)


def _closes_at_end(text: str) -> bool:
    depth = 0
    for index, character in enumerate(text):
        depth += (character in _PAIRS) - (character in _PAIRS.values())
        if not depth:
            return index == len(text) - 1
    return False


def _divided(text: str) -> list[str]:
    """Divide a text at commas and semicolons outside brackets; a part that is empty makes it no list."""
    parts, depth, begin = [], 0, 0
    for index, character in enumerate(text):
        depth += (character in _PAIRS) - (character in _PAIRS.values())
        if character in ",;" and not depth:
            parts.append(text[begin:index].strip())
            begin = index + 1
    parts.append(text[begin:].strip())
    return parts if all(parts) else [text]


def _signed(text: str) -> tuple[str, ...]:
    if text.count(r"\pm") != 1:
        return (text,)
    before, after = (part.strip() for part in text.split(r"\pm"))
    return f"{before}+{after}".removeprefix("+"), f"{before}-{after}"


def words_of(text: str) -> list[str]:
    """Return the words of a text in small letters; commands and single letters of formulas are none."""
    return re.findall(r"[^\W\d_]+", re.sub(r"\\[A-Za-z]+", " ", text).casefold())
