r"""Quantities: a number and its unit, as answers give them (``$1,200``, ``18 apples``, ``50%``, ``5 \text{ cm}^2``)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

_NUMBER = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
_CURRENCY = "$€£¥₹"
# A unit is a sign, or up to four words with powers and "per": "%", "cm^2", "square feet", "km/h".
_UNIT_WORD = r"[A-Za-zµ]+\.?(?:\s*\^?\s*\{?[23²³]\}?)?"
_UNIT = rf"(?:%|°\s*[CF]?|{_UNIT_WORD}(?:(?:\s+|\s*/\s*){_UNIT_WORD}){{0,3}})"
_QUANTITY = re.compile(rf"([-+]?)\s*([{_CURRENCY}]?)\s*([-+]?)\s*({_NUMBER})(?:(\s*)({_UNIT}))?")
_CURRENCY_AFTER = re.compile(rf"\A([-+]?\s*{_NUMBER})\s*([{_CURRENCY}])\Z")
_TRAILING_UNIT = re.compile(rf"(?<=[0-9)}}!])\s*({_UNIT})\Z")
# Words that go on with the mathematics or the sentence, and are no unit.
_NO_UNITS = frozenset(
    [
        "pi",
        "sqrt",
        "sin",
        "cos",
        "tan",
        "log",
        "ln",
        "exp",
        "mod",
        "and",
        "or",
        "to",
        "is",
        "are",
        "if",
        "not",
        "e",
        "i",
        "infinity",
        "times",
        "plus",
        "minus",
        "less",
        "more",
        "than",
        "over",
        "by",
        "out",
        "divided",
        "squared",
        "cubed",
        "factorial",
        "choose",
        "base",
        "power",
        "half",
        "halves",
        "third",
        "thirds",
        "quarter",
        "quarters",
        "fourth",
        "fourths",
        "fifth",
        "fifths",
        "sixth",
        "sixths",
        "eighth",
        "eighths",
        "tenth",
        "tenths",
        "fewer",
        "short",
        "below",
        "above",
        "under",
        "zero",
    ]
)
_LETTER_UNITS = frozenset(["m", "g", "s", "h", "l", "L", "K", "C", "F"])
_SPELLINGS = {
    "feet": "foot",
    "ft": "foot",
    "inches": "inch",
    "in": "inch",
    "hr": "hour",
    "hrs": "hour",
    "h": "hour",
    "min": "minute",
    "mins": "minute",
    "sec": "second",
    "secs": "second",
    "s": "second",
    "lb": "pound",
    "lbs": "pound",
    "percent": "%",
    "degree": "°",
    "degrees": "°",
    "dollar": "$",
    "dollars": "$",
    "usd": "$",
    "euro": "€",
    "euros": "€",
    "litre": "liter",
    "litres": "liter",
    "metre": "meter",
    "metres": "meter",
}
_SCALES = {
    "%": Decimal("0.01"),
    "cent": Decimal("0.01"),
    "pair": Decimal(2),
    "dozen": Decimal(12),
    "hundred": Decimal(100),
    "thousand": Decimal(1000),
    "k": Decimal(1000),
    "million": Decimal(10) ** 6,
    "billion": Decimal(10) ** 9,
    "trillion": Decimal(10) ** 12,
}


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with its unit; the unit is empty where there is none."""

    number: Decimal
    unit: str


def read_quantity(text: str) -> Quantity | None:
    """Return the quantity that a text is, whole; ``None`` if it is anything else, such as a list or an expression.

    A comma separates thousands where three digits follow each one, and nowhere else.

    >>> read_quantity("$1,200"), read_quantity("18 apples"), read_quantity("12,5"), read_quantity("2x")
    (Quantity(number=Decimal('1200'), unit='$'), Quantity(number=Decimal('18'), unit='apple'), None, None)
    """
    # "12.50 €" is "€12.50".
    match = _QUANTITY.fullmatch(_CURRENCY_AFTER.sub(r"\2\1", text))
    if match is None or (match[1] and match[3]):
        return None
    sign, currency, inner_sign, digits, space, unit = (part or "" for part in match.groups())
    if unit and not _is_unit(unit, space):
        return None
    number = Decimal(f"{sign}{inner_sign}{digits}".replace(",", ""))
    return Quantity(number, unit_form(f"{currency}{' ' if currency and unit else ''}{unit}"))


def read_abbreviated(text: str) -> Quantity | None:
    """Return a number that ends in a letter for thousands, millions or billions, written out; ``None`` if it does not.

    >>> read_abbreviated("$1.5M")
    Quantity(number=Decimal('1500000.0'), unit='$')
    """
    if not re.search(r"[0-9][kKMB]\Z", text) or (quantity := read_quantity(text[:-1])) is None:
        return None
    scale = {"k": 3, "m": 6, "b": 9}[text[-1].casefold()]
    return Quantity(quantity.number * 10**scale, quantity.unit)


def read_decimal_comma(text: str) -> Decimal | None:
    """Return the number that a text gives where the comma is the decimal sign (``12,5 cm``); ``None`` if none."""
    bare = split_unit(text)[0].strip(f" {_CURRENCY}")
    match = re.fullmatch(r"([-+]?)([0-9]{1,3}(?:\.[0-9]{3})+|[0-9]+),([0-9]+)", bare)
    return None if match is None else Decimal(f"{match[1]}{match[2].replace('.', '')}.{match[3]}")


def _is_unit(unit: str, space: str) -> bool:
    words = re.findall(r"[A-Za-zµ]+", unit)
    if _NO_UNITS.intersection(word.casefold() for word in words):
        return False
    # "5x" is a product, and so is "5 x"; "5 m" is a length.
    return not (len(words) == 1 and len(words[0]) == 1 and "°" not in unit) or (
        bool(space) and words[0] in _LETTER_UNITS
    )


def split_unit(text: str) -> tuple[str, str]:
    r"""Divide an expression from a unit after it.

    >>> split_unit(r"\frac{3}{4} cups"), split_unit("2 pi"), split_unit("x+1")
    (('\\frac{3}{4}', 'cups'), ('2 pi', ''), ('x+1', ''))
    """
    unit = _TRAILING_UNIT.search(text)
    if unit is None or not _is_unit(unit[1], text[unit.start() : unit.start(1)]):
        return text, ""
    return text[: unit.start()], unit[1]


def unit_form(unit: str) -> str:
    r"""Return a unit as it is compared: each word in the singular and spelled out, powers as ``^2``.

    >>> unit_form("Feet"), unit_form("square inches"), unit_form("cm²"), unit_form("dollars")
    ('foot', 'inch^2', 'cm^2', '$')
    """
    text = unit.replace("²", "^2").replace("³", "^3")
    text = re.sub(r"[{}.]", "", text).strip()
    text = re.sub(r"\s*\^\s*", "^", re.sub(r"\s*/\s*|\s+per\s+", "/", text))
    text = re.sub(r"(?<=[A-Za-z])([23])\b", r"^\1", text)
    words = [_word_form(word) for word in re.split(r"(\s+|/|\^[23])", text) if word and not word.isspace()]
    form = ""
    for word in words:
        form += word if not form or word in "/" or word.startswith("^") or form.endswith("/") else f" {word}"
    for name, power in (("square", 2), ("sq", 2), ("cubic", 3)):
        form = re.sub(rf"\b{name} (\w+)(?!\w|\^)", rf"\1^{power}", form)
    # "$5 dollars" and "5 °C" say no more than "$5" and "5°C".
    return {"$ $": "$", "° C": "°C", "° F": "°F"}.get(form, form)


def _word_form(word: str) -> str:
    # The case of a symbol tells units apart (Mg, mg); that of a word does not.
    small = word.casefold()
    if small in _SPELLINGS:
        return _SPELLINGS[small]
    if len(word) <= 2:
        return word
    return small[:-1] if small.endswith("s") and not small.endswith("ss") else small


def same_quantity(one: Quantity, other: Quantity) -> bool | None:
    """Return whether two quantities are the same; ``None`` if that depends on units that are not known here.

    A quantity without a unit is in the unit of the question: ``18 apples`` is 18.

    >>> apples, bare = Quantity(Decimal(18), "apple"), Quantity(Decimal(18), "")
    >>> same_quantity(apples, bare), same_quantity(Quantity(Decimal(5), "cm"), Quantity(Decimal(5), "m"))
    (True, False)
    """
    if one.unit == other.unit:
        return one.number == other.number
    if not one.unit or not other.unit:
        with_unit, bare = (one, other) if one.unit else (other, one)
        return _same_as_bare(with_unit, bare.number)
    if (by_conversion := _same_converted(one, other)) is not None:
        return by_conversion
    are_currencies = one.unit[0] in _CURRENCY and other.unit[0] in _CURRENCY
    return False if are_currencies else None


def _same_as_bare(quantity: Quantity, bare: Decimal) -> bool | None:
    """Return whether a quantity is the same as a number whose unit is that of the question."""
    scale = _SCALES.get(quantity.unit.partition(" ")[0])
    if quantity.unit == "%":
        # "50%" is the answer to "how many per cent?", and 0.5 may be.
        return True if quantity.number == bare else (None if quantity.number * _SCALES["%"] == bare else False)
    if scale is None:
        return quantity.number == bare
    if scale > 1 and quantity.number * scale == bare:
        return True
    # The question may ask for cents or for millions.
    return None if bare in {quantity.number, quantity.number * scale} else False


def _same_converted(one: Quantity, other: Quantity) -> bool | None:
    """Return whether two quantities of physical units are the same; ``None`` if a unit is not known."""
    from sympy import Rational  # noqa: PLC0415 - takes its time
    from sympy.physics.units import convert_to, kilogram, meter, second  # noqa: PLC0415

    units = [_physical_unit(quantity.unit) for quantity in (one, other)]
    if None in units:
        return None
    basic = [
        convert_to(Rational(str(quantity.number)) * unit, [meter, kilogram, second])
        for quantity, unit in zip((one, other), units, strict=True)
    ]
    return bool(basic[0] == basic[1])


def _physical_unit(unit: str) -> Any:
    """Return a unit as sympy has it, such as ``kilometer / hour``; ``None`` if a part of it is not known."""
    from sympy.physics import units  # noqa: PLC0415 - takes its time

    product: Any = 1
    for place, part in enumerate(unit.split("/")):
        name, _, power = part.partition("^")
        known = getattr(units, name, None)
        if not isinstance(known, units.Quantity):
            return None
        product = product * known ** ((1 if place == 0 else -1) * int(power or 1))
    return product
