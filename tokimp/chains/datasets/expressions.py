r"""Mathematical expressions: read strictly, whole or not at all, and compared by math-verify (Hugging Face).

math-verify's own reader looks for the first number where it cannot read a text, so that ``4:45`` and ``4:30`` are both
4. Here the grammar beneath it (latex2sympy) reads, which refuses what it does not know. What it would read as something
else than people do is refused before. All that algebra is done in a process of its own, which can be ended.
"""

from __future__ import annotations

import functools
import re

from tokimp.chains.datasets import expression_process

_LONGEST = 200
_SECONDS = 5
_COMMAND = re.compile(r"\\[A-Za-z]+")
_WORD = re.compile(r"[A-Za-z]{2,}")
# Words that are mathematics. Other words would be read as products of letters: "ab" and "ba" would be equal.
_NAMES = frozenset(["sqrt", "pi", "sin", "cos", "tan", "cot", "sec", "csc", "log", "ln", "exp"])
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
    return expression_process.EXPRESSION_PROCESS.same(one, other, _SECONDS)
