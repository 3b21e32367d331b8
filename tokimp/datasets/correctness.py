"""Whether a chain's answer is the right one."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

from tokimp.chain import Chain

_MARK = re.compile(r"^(?:####|A:)")
_LETTER = re.compile(r"\bthe answer is \(([A-Z])\)", re.IGNORECASE)
_UNIT_SIGNS = str.maketrans("", "", ",$%")


def is_right(chain: Chain) -> bool | None:
    """Return whether the chain's answer says the same as its gold answer; ``None`` where there is no gold answer.

    The answer is the letter of ``The answer is (X)``, or the text without a mark ``####`` or ``A:`` before it. Numbers
    are compared as numbers, without thousands separators, dollar and per cent signs; anything else as text.

    >>> is_right(Chain("a", "How many?", "16 * 300 = 4800", "#### 4,800", gold="4800"))
    True
    """
    if chain.gold is None:
        return None
    letter = _LETTER.search(chain.answer)
    answer = letter[1] if letter is not None else _MARK.sub("", chain.answer.strip()).strip()
    given, right = _number(answer), _number(chain.gold)
    if given is not None and right is not None:
        return given == right
    return answer.casefold() == chain.gold.strip().casefold()


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text.strip().removesuffix(".").translate(_UNIT_SIGNS).strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() else None
