r"""Whether two values are the same: compared as letters, quantities, lists, expressions or text, or not known.

"Not known" is a verdict of its own. It is given where a value cannot be read whole, or can be read in two ways that
disagree. A value that was not understood is never called wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal

from tokimp.chains.datasets.expressions import same_expression
from tokimp.chains.datasets.quantities import (
    Quantity,
    read_abbreviated,
    read_decimal_comma,
    read_quantity,
    same_quantity,
    split_unit,
    unit_form,
)
from tokimp.chains.datasets.spellings import without_assignment, written_alike
from tokimp.chains.datasets.value_texts import LONGEST_VALUE, elements, plain_form, words_of

_LETTER = re.compile(r"\(?([A-Za-z])[).]?")
_TIME = re.compile(
    r"([0-9]{1,2})(?::([0-9]{2})(?::([0-9]{2}))?|(?=\s*[ap]\.?\s?m\.?\Z))(?:\s*([ap])\.?\s?m\.?)?", re.IGNORECASE
)
_RATIO = re.compile(r"([0-9]+)\s*(?::|to)\s*([0-9]+)")
_BASED = re.compile(r"([0-9A-Za-z]+)\s*_\s*(?:\{\s*([0-9]+)\s*\}|([0-9]+))")
_LARGEST_BASE = 36
_LEADING_ZERO = re.compile("0[0-9]+")
_LONGEST_PRODUCT = 3
_ACCENT = re.compile(r"\\(?:vec|hat|bar|tilde|dot|overline|overrightarrow|widehat|boldsymbol|bm|mathbf)(?![a-z])")
_TRIGONOMETRY = re.compile(r"(?<![A-Za-z])(?:sin|cos|tan|cot|sec|csc)(?![a-z])")
_IN_DEGREES = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*°")
_UNEQUAL = re.compile(r"[<>\u2264\u2265\u2260]|\\(?:leq?|geq?|lt|gt|neq?|cup|cap|setminus|mid)(?![a-z])")
_OPEN_FORMULA = re.compile(r"[0-9)]\s*[+*]\s*[A-Za-z]{2,}|[A-Za-z]{2,}\s*[+*]\s*[0-9(]")
_NO_TEXT = re.compile(r"[0-9\\=^_]")


def same_value(value: str, right: str, kind: str = "plain") -> bool | None:
    r"""Return whether two values are the same; ``None`` if that is not known.

    - Letters of choices are compared as letters.
    - Quantities are compared as numbers and units. A comma separates thousands only where three digits follow each
      one. A number without a unit is in the question's unit, so that ``18 apples`` and ``$18`` are 18. Different units
      are told apart, and physical ones converted.
    - Lists (``1, 3`` or ``1 and 3``) and sets are compared without their order, tuples and intervals in order.
    - Numbers in a base (``4210_5``), times and ratios are compared as such.
    - Expressions are the same if math-verify (Hugging Face) can show it.
    - Anything else is text: the same words are the same, names that have no word in common differ.

    Everything else is not known: ``eighteen`` and 18, ``12,5`` and 12.5, or texts of thousands of characters.

    Parameters
    ----------
    value, right
        The two values. No value (an empty text) is the same as none.
    kind
        The kind of the answer that gives the value (`tokimp.chains.datasets.correctness.AnswerKind`).

    Examples
    --------
    >>> same_value("4,800", "4800."), same_value(r"\frac12", "0.5"), same_value("3,1", "1,3"), same_value("1", "0,1")
    (True, True, True, False)
    >>> same_value("4210_5", "4210_7"), same_value("5 cm", "5 m"), same_value("eighteen", "18")
    (False, False, None)
    """
    one, other = plain_form(value), plain_form(right)
    if not one or not other:
        return False
    if max(len(one), len(other)) > LONGEST_VALUE:
        # The patterns below would take minutes.
        return True if one == other else None
    letters = [_LETTER.fullmatch(text) for text in (one, other)]
    if kind == "choice" or all(letters):
        if not all(letters):
            return None
        return len({letter[1].casefold() for letter in letters if letter is not None}) == 1
    verdict = _same(one, other)
    if kind == "stated" and one.endswith("!") and _same(one[:-1], other) is not verdict:
        # A factorial, or a sentence that is proud of itself.
        return None
    return verdict


def _same(one: str, other: str) -> bool | None:
    """Compare two values in their plain form."""
    if one.casefold() == other.casefold():
        return True
    one, other = map(written_alike, without_assignment(one, other))
    for compare in (_same_time, _same_numbers, _same_based, _same_list, _same_ratio):
        applies, verdict = compare(one, other)
        if applies:
            return verdict
    return _same_formula(one, other)


Comparison = tuple[bool, bool | None]
"""Whether a rule applies to two values, and its verdict."""
_NOT_HERE: Comparison = (False, None)


def _same_time(one: str, other: str) -> Comparison:
    times = [_TIME.fullmatch(text) for text in (one, other)]
    first, second = times
    if first is None or second is None:
        # A time is no number; without the half of the day it may be a ratio.
        has_half = any(time is not None and time[4] for time in times)
        return (True, None) if has_half else _NOT_HERE
    if not (first[4] or second[4]):
        return _NOT_HERE
    if first[4] and second[4]:
        return True, _minutes(first) == _minutes(second)
    with_half, without = (first, second) if first[4] else (second, first)
    # "16:30" is 4:30 p.m.; "4:30" may be.
    if int(without[1]) > 12 or int(without[1]) == 0:
        return True, _minutes(with_half) == _minutes(without)
    return True, None if _minutes(with_half) % 720 == _minutes(without) % 720 else False


def _minutes(time: re.Match[str]) -> float:
    hour = int(time[1])
    if time[4]:
        hour = hour % 12 + (12 if time[4].casefold() == "p" else 0)
    return hour * 60 + int(time[2] or 0) + int(time[3] or 0) / 60


def _same_numbers(one: str, other: str) -> Comparison:
    first, second = read_quantity(one), read_quantity(other)
    if first is None or second is None:
        return _same_abbreviated(one, other)
    verdict = same_quantity(first, second)
    if verdict is False and "," in one and "," in other and _same_list(one, other)[1]:
        # "100,200" may be a number or a list. As a list it is the same as "200,100".
        return True, None
    return True, verdict


def _same_abbreviated(one: str, other: str) -> Comparison:
    """Compare a number such as ``5k`` or ``$2M`` with one that is written out; the letter may be a factor, too."""
    for short, long in ((one, other), (other, one)):
        abbreviated, number = read_abbreviated(short), read_quantity(long)
        if abbreviated is not None and number is not None:
            same = same_quantity(abbreviated, number)
            # "5k" is hardly 5, but it may be in thousands, as the question asks for.
            if number.unit and not abbreviated.unit:
                return True, None
            return True, None if same is False and short.startswith(long) else same
    return _NOT_HERE


def _same_based(one: str, other: str) -> Comparison:
    """Compare numbers that say their base, such as ``4210_5``."""
    matches = [_BASED.fullmatch(text) for text in (one, other)]
    if not any(matches):
        return _NOT_HERE
    numbers = [_based(match) for match in matches]
    for index, text in enumerate((one, other)):
        if matches[index] is None and (quantity := read_quantity(text)) is not None and not quantity.unit:
            # Without a base it may be in the other's base, or in ten.
            digits = next(match[1] for match in matches if match is not None)
            values = [number[0] for number in numbers if number is not None]
            return True, None if not values or digits == text or quantity.number == values[0] else False
    first, second = numbers
    if first is None or second is None:
        # x_1 is an index, and no number in base 1.
        return _NOT_HERE
    if first[1] == second[1]:
        return True, first[0] == second[0]
    # The same number in another base is no answer to "write it in base 5".
    return True, None if first[0] == second[0] else False


def _based(match: re.Match[str] | None) -> tuple[int, int] | None:
    """Return number and base; ``None`` where the digits are none of the base."""
    if match is None:
        return None
    base = int(match[2] or match[3])
    try:
        return (int(match[1], base), base) if 2 <= base <= _LARGEST_BASE else None
    except ValueError:
        return None


def _same_list(one: str, other: str) -> Comparison:
    first, second = elements(one), elements(other)
    if len(first.parts) < 2 and len(second.parts) < 2:
        return _NOT_HERE
    if len(first.parts) != len(second.parts):
        if _UNEQUAL.search(f"{one} {other}"):
            # Conditions and unions of intervals are other spellings of intervals, or of sets.
            return True, None
        # "12,5" may be 12.5, where the comma is the decimal sign.
        decimals = [read_decimal_comma(text) for text in (one, other)]
        numbers = [read_quantity(text) for text in (one, other)]
        may_be = any(
            decimal is not None and number is not None and decimal == number.number
            for decimal, number in zip(decimals, reversed(numbers), strict=True)
        )
        has_words = any(len(word) > 1 for part in (*first.parts, *second.parts) for word in words_of(part))
        return True, None if may_be or has_words else False
    if first.ordered and second.ordered:
        if first.brackets != second.brackets:
            return True, False
        return True, _all_of(_same(a, b) for a, b in zip(first.parts, second.parts, strict=True))
    verdict = _same_members(first.parts, second.parts)
    # "2,005" is a number of thousands, and no list of 2 and 5.
    zeros = [any(map(_LEADING_ZERO.fullmatch, listed.parts)) for listed in (first, second)]
    # "(2, 3)" is a point or an interval, "2, 3" a list: the order may count.
    return True, None if verdict and (first.ordered, zeros[0]) != (second.ordered, zeros[1]) else verdict


def _same_members(first: Sequence[str], second: Sequence[str]) -> bool | None:
    """Compare two lists of one length, whatever their order."""
    left, verdicts = list(second), list[bool | None]()
    for part in first:
        compared = [_same(part, other) for other in left]
        best: bool | None = True if True in compared else None if None in compared else False
        verdicts.append(best)
        if best is not False:
            left.pop(compared.index(best))
    return _all_of(verdicts)


def _all_of(verdicts: Iterable[bool | None]) -> bool | None:
    judged = list(verdicts)
    return False if False in judged else None if None in judged else True


def _same_ratio(one: str, other: str) -> Comparison:
    first, second = _RATIO.fullmatch(one), _RATIO.fullmatch(other)
    if first is None or second is None:
        return _NOT_HERE
    if first.groups() == second.groups():
        return True, True
    same = int(first[1]) * int(second[2]) == int(first[2]) * int(second[1])
    # 1:20 and 2:40 are the same ratio, and two times.
    return True, None if same else False


def _same_formula(one: str, other: str) -> bool | None:
    """Compare expressions, units apart; what is no expression is compared as text."""
    if _TRIGONOMETRY.search(f"{one} {other}") and "°" in f"{one}{other}":
        # The angle of a function in degrees is no unit of the value.
        return same_expression(_in_radians(one), _in_radians(other))
    (first, unit), (second, other_unit) = split_unit(one), split_unit(other)
    verdict = same_expression(first, second)
    if verdict is False and (
        ("=" in one) != ("=" in other) or bool(_ACCENT.search(one)) != bool(_ACCENT.search(other))
    ):
        # "2 + 3 = 5" gives 5, and a vector may be written with its arrow or without.
        return None
    if verdict is not None:
        units = [Quantity(Decimal(1), unit_form(written)) for written in (unit, other_unit)]
        if verdict is False and [quantity.unit for quantity in units].count("°") == 1:
            # A right angle is 90 degrees, or half of pi.
            return None
        if not all(quantity.unit for quantity in units) or units[0] == units[1]:
            return verdict
        # Half a metre may be fifty centimetres, but never half a centimetre.
        return False if verdict and same_quantity(*units) is False else None
    return _same_words(one, other)


def _in_radians(text: str) -> str:
    return _IN_DEGREES.sub(r"(\1\\cdot\\pi/180)", text)


def _spaceless(text: str) -> str:
    return "".join(text.split())


def _same_words(one: str, other: str) -> bool | None:
    first, second = words_of(one), words_of(other)
    if first == second and first:
        # Other numbers and signs may stand between the words. Letters alone are a formula, in which every sign counts.
        write = _others if any(len(word) > 1 for word in first) else _spaceless
        return True if write(one) == write(other) else None
    if sorted(one) == sorted(other) and max(map(len, (*first, *second)), default=0) <= _LONGEST_PRODUCT:
        # "ab" and "ba" may be products.
        return None
    if any(read_quantity(text) is not None for text in (one, other)) and _OPEN_FORMULA.search(f"{one}\n{other}"):
        # "10 + John's age" is no number.
        return False
    if not (first and second) or _NO_TEXT.search(one) or _NO_TEXT.search(other):
        return None
    return None if set(first) & set(second) else False


def _others(text: str) -> list[str]:
    return re.findall(r"[0-9]+|\\[A-Za-z]+|[^\w\s.,;:!?'\"()\[\]{}$]", text)
