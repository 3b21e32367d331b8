"""Values that are spelt in several ways, each written in one: bases by prefix, intervals as conditions, equations."""

from __future__ import annotations

import re

_ASSIGNMENT = re.compile(r"([A-Za-z](?:_\{?\w+\}?)?(?:\([A-Za-z]\))?)\s*=\s*([^=]+)")
_PREFIXED = re.compile(r"0([xob])([0-9a-f]+)", re.IGNORECASE)
_PREFIXES = {"x": 16, "o": 8, "b": 2}
_LETTER = re.compile(r"[A-Za-z](?:_\{?\w+\}?)?")
_MEMBER = re.compile(r"[A-Za-z]\s*\\in\s*(.+)")
_LESS = r"(<|\\leq?(?![a-z])|\\lt(?![a-z])|\u2264)"
_BETWEEN = re.compile(rf"([^<>=,]+?)\s*{_LESS}\s*[A-Za-z]\s*{_LESS}\s*([^<>=,]+)")


def written_alike(text: str) -> str:
    r"""Return a value of two spellings in one: a prefix as a base, conditions on a letter as intervals and sets.

    >>> written_alike("0x1F"), written_alike(r"2 < x \le 3"), written_alike(r"x \in \{1, 2\}")
    ('1F_{16}', '(2,3]', '\\{1, 2\\}')
    """
    if (number := _PREFIXED.fullmatch(text)) is not None:
        return f"{number[2]}_{{{_PREFIXES[number[1].casefold()]}}}"
    if (member := _MEMBER.fullmatch(text)) is not None:
        return member[1]
    if (between := _BETWEEN.fullmatch(text)) is not None:
        brackets = [strict in {"<", r"\lt"} for strict in (between[2], between[3])]
        return f"{'(' if brackets[0] else '['}{between[1]},{between[4]}{')' if brackets[1] else ']'}"
    return text


def without_assignment(one: str, other: str) -> tuple[str, str]:
    """Take ``x =`` off a value if the other has no equals sign, or the same ``x =``."""
    one, other = _turned(one), _turned(other)
    first, second = _ASSIGNMENT.fullmatch(one), _ASSIGNMENT.fullmatch(other)
    if first is not None and second is not None:
        return (first[2], second[2]) if first[1] == second[1] else (one, other)
    if first is not None and "=" not in other:
        return first[2], other
    if second is not None and "=" not in one:
        return one, second[2]
    return one, other


def _turned(text: str) -> str:
    """Return ``5 = x``, which says of x what ``x = 5`` says, in that order."""
    value, equals, letter = (part.strip() for part in text.partition("="))
    return f"{letter}={value}" if equals and _LETTER.fullmatch(letter) and not _LETTER.fullmatch(value) else text
