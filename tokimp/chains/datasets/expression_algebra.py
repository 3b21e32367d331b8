r"""A program that compares mathematical expressions, as its own process: some would take days or all the memory.

It reads one comparison a line and answers with one line. Each has so many seconds, after which the system ends the
process, wherever it is: a power of large numbers is a single step that no exception and no signal handler interrupts
in a thread. Run by `tokimp.chains.datasets.expression_process`.
"""

from __future__ import annotations

import json
import re
import signal
import sys
from typing import Any

_NAME = re.compile(r"(?<![\\A-Za-z])(pi|sin|cos|tan|cot|sec|csc|log|ln|exp)(?![A-Za-z])")
_LONG_DECIMAL = re.compile(r"\s*-?\s*[0-9]*\.[0-9]{6,}\s*")
# Relative differences up to which two numbers are the same, also if one is a long decimal, or may be.
_EXACT, _WRITTEN_OUT, _ROUNDED = 1e-12, 1e-5, 1e-3
_POINTS = (0.7310585, 1.2533141, 2.6220575)


def compared(one: str, other: str) -> bool | None:
    """Return whether two expressions are equal; ``None`` if that is not known. There is no limit of time here."""
    from math_verify import verify  # noqa: PLC0415 - brings sympy, which takes its time

    try:
        left, right = _read(one), _read(other)
        # Its own limit works by a signal in the main thread, and so would end nothing that the limit here does not.
        ways = [verify(*pair, timeout_seconds=None, raise_on_error=True) for pair in ((left, right), (right, left))]
        if ways[0] != ways[1]:
            # It takes the value out of one of the two only.
            return None
        if ways[0]:
            # math-verify rounds to six places: to it, 10^{-7} is 0.
            is_rounded = len([text for text in (one, other) if _LONG_DECIMAL.fullmatch(text)]) == 1
            return _same_number(left, right, is_rounded=is_rounded)
        return None if _agree_at_points(left, right) else False
    # Grammar and algebra raise all kinds of errors on texts that are no expressions.
    except Exception:  # noqa: BLE001 - whatever is raised, the comparison is not known
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


def main() -> None:
    """Answer comparisons until there are no more."""
    # Ctrl-C reaches every process of the terminal. This one ends with the one that started it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import latex2sympy2_extended  # noqa: PLC0415, F401 - before the first limit begins
    import math_verify  # noqa: PLC0415, F401

    answers, sys.stdout = sys.stdout, sys.stderr
    answers.write("ready\n")
    answers.flush()
    for line in sys.stdin:
        one, other, seconds = json.loads(line)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        verdict = compared(one, other)
        signal.setitimer(signal.ITIMER_REAL, 0)
        answers.write(json.dumps(verdict) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
