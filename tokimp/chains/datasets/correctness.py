r"""Whether two answers are the same: compared as letters, as numbers, as expressions or as text.

An answer is an *opening*, the *value* it gives, and what follows. The opening shows which kind of answer it is:

===================  =============================  ==========================
kind                 answer                         opening
===================  =============================  ==========================
choice               ``The answer is (B).``         ``The answer is (``
marked               ``#### 18`` or ``A: 18``       ``####`` and the space
boxed                ``It is $\boxed{\pi}$.``       ``It is $\boxed{``
plain                anything else                  nothing
===================  =============================  ==========================
"""

from __future__ import annotations

import functools
import re
import threading
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from tokimp.chains.chain import Chain

AnswerKind = Literal["choice", "marked", "boxed", "plain"]

_MARK = re.compile(r"^\s*(?:####|A:)[^\S\n]*")
_LETTER = re.compile(r"\bthe answer is \(([A-Z])\)", re.IGNORECASE)
_WRITTEN_LETTER = re.compile(r"\s*\(?([A-Z])(?![A-Za-z])")
_BOX = r"\boxed{"
_UNIT_SIGNS = str.maketrans("", "", ",$%")
# A text with words is not an expression: math-verify would read "ab" and "ba" as products, which are equal.
_COMMAND = re.compile(r"\\[A-Za-z]+")
_WORD = re.compile(r"[A-Za-z]{2,}")
_LONGEST_EXPRESSION = 200
_SECONDS = 5


@dataclass(frozen=True, slots=True)
class AnswerParts:
    """An answer, divided: its kind, the text before its value, and the value."""

    kind: AnswerKind
    opening: str
    value: str


def split_answer(answer: str) -> AnswerParts:
    r"""Divide an answer into its opening and the value that it gives.

    >>> split_answer("#### 1,200")
    AnswerParts(kind='marked', opening='#### ', value='1,200')
    >>> split_answer("So the answer is (C). Done.")
    AnswerParts(kind='choice', opening='So the answer is (', value='C')
    """
    if letter := _LETTER.search(answer):
        return AnswerParts("choice", answer[: letter.start(1)], letter[1])
    if (box := answer.rfind(_BOX)) >= 0:
        opening = answer[: box + len(_BOX)]
        return AnswerParts("boxed", opening, read_value(answer[len(opening) :], "boxed"))
    if mark := _MARK.match(answer):
        return AnswerParts("marked", mark[0], read_value(answer[mark.end() :], "marked"))
    return AnswerParts("plain", "", answer.strip())


def read_value(text: str, kind: AnswerKind) -> str:
    r"""Return the value at the start of a text that goes on after an answer's opening; empty where there is none.

    A choice is a letter. A boxed value ends at the brace that closes the box. Anything else ends with its line.

    >>> read_value("18 eggs\nQ: And if", "marked")
    '18 eggs'
    >>> read_value("(B) because", "choice")
    'B'
    """
    if kind == "choice":
        letter = _WRITTEN_LETTER.match(text)
        return letter[1] if letter is not None else ""
    if kind == "boxed":
        depth = 1
        for index, character in enumerate(text):
            depth += {"{": 1, "}": -1}.get(character, 0)
            if not depth:
                return text[:index].strip()
        return ""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def same_value(value: str, right: str, kind: AnswerKind = "plain") -> bool:
    r"""Return whether two values are the same.

    The case of letters does not matter. Numbers are compared as numbers, without thousands separators, dollar and per
    cent signs. Expressions (texts without words) are the same if math-verify (Hugging Face) can show it. Anything else
    is compared as text, case aside.

    >>> same_value("4,800", "4800."), same_value(r"\frac12", "0.5"), same_value("ab", "ba")
    (True, True, False)
    """
    value, right = value.strip(), right.strip()
    if not value or not right:
        return False
    if kind == "choice" or value.casefold() == right.casefold():
        return value.casefold() == right.casefold()
    one, other = _number(value), _number(right)
    if one is not None and other is not None:
        return one == other
    return _is_expression(value) and _is_expression(right) and _same_expression(value, right)


def is_right(chain: Chain) -> bool | None:
    """Return whether the chain's answer is the same as its gold answer; ``None`` if it has no gold answer.

    >>> is_right(Chain("a", "How many?", "16 * 300 = 4800", "#### 4,800", gold="4800"))
    True
    """
    if chain.gold is None:
        return None
    answer = split_answer(chain.answer)
    return same_value(answer.value, split_answer(chain.gold).value, answer.kind)


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text.strip().removesuffix(".").translate(_UNIT_SIGNS).strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _is_expression(text: str) -> bool:
    return len(text) <= _LONGEST_EXPRESSION and not _WORD.search(_COMMAND.sub("", text))


@functools.lru_cache(maxsize=4096)
def _same_expression(value: str, right: str) -> bool:
    from math_verify import parse, verify  # noqa: PLC0415 - brings sympy, which takes its time

    # math-verify stops after so many seconds by means of a signal, which only the main thread gets.
    seconds: Any = _SECONDS if threading.current_thread() is threading.main_thread() else None
    one, other = (parse(f"${text.strip('$')}$", parsing_timeout=seconds) for text in (right, value))
    return bool(one and other and verify(one, other, timeout_seconds=seconds))
