r"""Mathematical expressions: read strictly, whole or not at all, and compared by math-verify (Hugging Face).

math-verify's own reader looks for the first number where it cannot read a text, so that ``4:45`` and ``4:30`` are both
4. Here the grammar beneath it (latex2sympy) reads, which refuses what it does not know. What it would read as something
else than people do is refused before.
"""

from __future__ import annotations

import functools
import re
import threading
from typing import Any

_LONGEST = 200
_SECONDS = 5
_COMMAND = re.compile(r"\\[A-Za-z]+")
_WORD = re.compile(r"[A-Za-z]{2,}")
# Words that are mathematics. Other words would be read as products of letters: "ab" and "ba" would be equal.
_NAMES = frozenset(["sqrt", "pi", "sin", "cos", "tan", "cot", "sec", "csc", "log", "ln", "exp"])
_NAME = re.compile(r"(?<![\\A-Za-z])(pi|sin|cos|tan|cot|sec|csc|log|ln|exp)(?![A-Za-z])")
_MIXED_NUMBER = re.compile(r"(?<![\d.])(\d+)\s+(\d+)\s*/\s*(\d+)(?![\d.])")
_READ_OTHERWISE = re.compile(
    "|".join(
        [
            r":",  # a time or a ratio
            r"'",  # a derivative: its prime would be dropped
            r"\d\s*_",  # a base or an index
            r"\d\s+\.?\d|\.\d+\.",  # two numbers side by side: read as a sum
            r"!\s*!",  # a double factorial: read as a factorial of a factorial
            r"\.\.|\\[lcv]?dots",  # an ellipsis
            r"%|#|&(?!.*\\end)",  # a percentage inside a sum
            r"(?<![A-Za-z\\])[A-Za-z]\s*\([^()]*,|\d\s*[A-Z]\s*_?\d",  # combinations: C(5,2), 5P2
            r"\d\s*x\s*\d",  # a size: 3 x 4
        ]
    )
)
_LONG_DECIMAL = re.compile(r"\s*-?\s*[0-9]*\.[0-9]{6,}\s*")
# Relative differences up to which two numbers are the same, also if one is a long decimal, or may be.
_EXACT, _WRITTEN_OUT, _ROUNDED = 1e-12, 1e-5, 1e-3
_POINTS = (0.7310585, 1.2533141, 2.6220575)


def same_expression(one: str, other: str) -> bool | None:
    r"""Return whether two expressions are equal; ``None`` if that is not known.

    It is not known where one of the two cannot be read whole, and where they seem equal but it cannot be shown.

    >>> same_expression(r"\frac12", "0.5"), same_expression("5!", "5"), same_expression("1:30", "1:45")
    (True, False, None)
    """
    if not (_is_readable(one) and _is_readable(other)):
        return None
    return _compared(_with_mixed_numbers(one), _with_mixed_numbers(other))


def _is_readable(text: str) -> bool:
    text = _with_mixed_numbers(text)
    words = _WORD.findall(_COMMAND.sub(" ", text))
    return len(text) <= _LONGEST and _NAMES.issuperset(words) and not _READ_OTHERWISE.search(text)


def _with_mixed_numbers(text: str) -> str:
    """Write ``2 3/4`` as a sum in parentheses."""
    return _MIXED_NUMBER.sub(r"(\1+\2/\3)", text)


@functools.lru_cache(maxsize=4096)
def _compared(one: str, other: str) -> bool | None:
    # Both bring sympy, which takes its time.
    from math_verify import verify  # noqa: PLC0415
    from math_verify.errors import TimeoutException  # noqa: PLC0415
    from math_verify.utils import timeout  # noqa: PLC0415

    # The time limit works by a signal, which only the main thread gets.
    seconds: Any = _SECONDS if threading.current_thread() is threading.main_thread() else None
    limited = timeout(timeout_seconds=seconds)
    try:
        left, right = limited(_read)(one), limited(_read)(other)
        ways = [verify(*pair, timeout_seconds=seconds, raise_on_error=True) for pair in ((left, right), (right, left))]
        if ways[0] != ways[1]:
            # It takes the value out of one of the two only.
            return None
        if ways[0]:
            # math-verify rounds to six places: to it, 10^{-7} is 0.
            is_rounded = len([text for text in (one, other) if _LONG_DECIMAL.fullmatch(text)]) == 1
            verdict: bool | None = limited(_same_number)(left, right, is_rounded=is_rounded)
            return verdict
        return None if limited(_agree_at_points)(left, right) else False
    # Grammar and algebra raise all kinds of errors on texts that are no expressions. TimeoutException is no Exception.
    except (Exception, TimeoutException):  # noqa: BLE001 - whatever is raised, the comparison is not known
        return None


def _read(text: str) -> Any:
    """Return an expression as sympy has it; the grammar raises an error where it cannot read the whole text."""
    from latex2sympy2_extended import NormalizationConfig, latex2sympy  # noqa: PLC0415

    # The only normalization is that of \frac12 and \sqrt2: units, boxes and equations would be taken off in silence.
    settings = NormalizationConfig(basic_latex=True, malformed_operators=True, boxed="none")
    return latex2sympy(_spelled(text), normalization_config=settings)


def _spelled(text: str) -> str:
    """Write names of functions and numbers as commands: ``pi`` would be p times i."""
    return _NAME.sub(r"\\\1 ", text)


def _same_number(left: Any, right: Any, *, is_rounded: bool) -> bool | None:
    """Return whether two values that are equal once rounded are equal; ``None`` if one may be the other, rounded.

    A decimal number of six places or more, on one side only, is meant as the other's rounding: 0.333333 is 1/3.
    """
    from sympy import Expr  # noqa: PLC0415

    numbers = [value for value in (left, right) if isinstance(value, Expr) and value.is_number]
    if len(numbers) < 2:
        return True
    first, second = (complex(number.evalf(30)) for number in numbers)
    apart, size = abs(first - second), max(abs(first), abs(second))
    if not apart > (_WRITTEN_OUT if is_rounded else _EXACT) * size:
        return True
    return None if apart < _ROUNDED * size else False


def _agree_at_points(left: Any, right: Any) -> bool:
    """Whether two formulas that could not be shown to be equal have the same values all the same."""
    from sympy import Expr  # noqa: PLC0415

    symbols = sorted(getattr(left, "free_symbols", set()) | getattr(right, "free_symbols", set()), key=str)
    if not symbols or not (isinstance(left, Expr) and isinstance(right, Expr)):
        return False
    for start in range(len(_POINTS)):
        point = {symbol: _POINTS[(start + place) % len(_POINTS)] + place for place, symbol in enumerate(symbols)}
        difference = complex((left - right).evalf(subs=point))
        if not abs(difference) < 1e-9:
            return False
    return True
