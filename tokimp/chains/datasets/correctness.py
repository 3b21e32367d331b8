r"""The value that an answer gives, where it stands in the answer, and whether it is the right one.

An answer is an *opening*, the *value* it gives, and what follows. The opening shows which kind of answer it is. The
kinds are looked for in this order, and of several openings of one kind the last counts:

===================  ==================================  ==========================
kind                 answer                              opening
===================  ==================================  ==========================
choice               ``The answer is (B).``              ``The answer is (``
json                 ``{"answer": "18"}``                ``{"answer": "``
boxed                ``It is $\boxed{\pi}$.``            ``It is $\boxed{``
marked               ``#### 18`` or ``A: 18``            ``####`` and the space
stated               ``The final answer is 18 eggs.``    ``The final answer is ``
plain                anything else: ``**18**``           what sets it: ``**``
===================  ==================================  ==========================
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from tokimp.chains.chain import Chain
from tokimp.chains.datasets.values import same_value

AnswerKind = Literal["choice", "json", "boxed", "marked", "stated", "plain"]

_LETTER = re.compile(r"(?i:\bthe\s+answer\s+is\s+)\(([A-Z])\)")
_WRITTEN_LETTER = re.compile(r"\s*\(?([A-Z])(?![A-Za-z])")
_JSON = re.compile(r'"answer"\s*:\s*(?:"([^"\n]*)"|([-+.0-9eE]+)(?=\s*[,}]))')
_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{\s*")
_MARK = re.compile(r"\A\s*A:[^\S\n]*|^[^\S\n]*####[^\S\n]*", re.MULTILINE)
_STATEMENT = re.compile(r"\b(?:answer\s+is|answer\s*(?=[:=]))\s*[:=]?\s*", re.IGNORECASE)
_SENTENCE = re.compile(r"[^\n]*?(?=[.?][*`]*(?:\s|\Z)|\n|\Z)")
_JSON_VALUE = re.compile(r'[^"}\n]*')
# What may stand around a value and only sets it.
_SETTING = (("**", "**"), ("__", "__"), ("`", "`"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"))


@dataclass(frozen=True, slots=True)
class AnswerParts:
    """An answer, divided: its kind, the text before its value, and the value, which the answer goes on with."""

    kind: AnswerKind
    opening: str
    value: str


def split_answer(answer: str) -> AnswerParts:
    r"""Divide an answer into its opening and the value that it gives.

    The answer begins with the opening and the value, joined. The value is empty where a box is not closed.

    >>> split_answer("#### 1,200")
    AnswerParts(kind='marked', opening='#### ', value='1,200')
    >>> split_answer("So the answer is (C). Done.")
    AnswerParts(kind='choice', opening='So the answer is (', value='C')
    >>> split_answer("The answer is **15**.")
    AnswerParts(kind='stated', opening='The answer is **', value='15')
    """
    for find in (_choice, _field, _boxed, _marked, _stated):
        if (parts := find(answer)) is not None:
            return parts
    return _parts("plain", answer, 0, answer.strip())


def _choice(answer: str) -> AnswerParts | None:
    letter = _last(_LETTER, answer)
    return letter and AnswerParts("choice", answer[: letter.start(1)], letter[1])


def _field(answer: str) -> AnswerParts | None:
    field = _last(_JSON, answer)
    if field is None:
        return None
    group = 1 if field[1] is not None else 2
    return _parts("json", answer, field.start(group), field[group])


def _boxed(answer: str) -> AnswerParts | None:
    """Return the parts of an answer with a box: the last one that is closed and has something in it."""
    boxes = list(_BOX.finditer(answer))
    closing = closing_braces(answer) if boxes else {}
    for box in reversed(boxes):
        end = closing.get(answer.index("{", box.start()))
        if end is not None and (value := answer[box.end() : end].strip()):
            return _parts("boxed", answer, box.end(), value)
    return AnswerParts("boxed", answer[: boxes[-1].end()], "") if boxes else None


def _marked(answer: str) -> AnswerParts | None:
    mark = _last(_MARK, answer)
    return mark and _parts("marked", answer, mark.end(), read_value(answer[mark.end() :], "marked"))


def _stated(answer: str) -> AnswerParts | None:
    statement = _last(_STATEMENT, answer)
    value = read_value(answer[statement.end() :], "stated") if statement else ""
    return _parts("stated", answer, statement.end(), value) if statement and value else None


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    return next(iter(reversed(list(pattern.finditer(text)))), None)


def _parts(kind: AnswerKind, answer: str, begin: int, value: str) -> AnswerParts:
    """Return the parts of an answer whose value stands at or after a place; what only sets it is opening."""
    start = answer.index(value, begin)
    if kind in {"stated", "plain"}:
        end = start + len(value)
        for before, after in _SETTING:
            inner = answer[start + len(before) : end - len(after)]
            if value.startswith(before) and value.endswith(after) and inner.strip() and before not in inner:
                start += len(before) + len(inner) - len(inner.lstrip())
                value = inner.strip()
                end = start + len(value)
    return AnswerParts(kind, answer[:start], value)


def read_value(text: str, kind: AnswerKind) -> str:
    r"""Return the value at the start of a text that goes on after an answer's opening; empty where there is none.

    A choice is a letter. A value in JSON ends with its quotation mark or brace, a boxed one at the brace that closes
    the box, a stated one with its sentence. Anything else ends with its line.

    >>> read_value("18 eggs\nQ: And if", "marked")
    '18 eggs'
    >>> read_value("(B) because", "choice")
    'B'
    """
    if kind == "choice":
        letter = _WRITTEN_LETTER.match(text)
        return letter[1] if letter is not None else ""
    if kind == "json":
        value = _JSON_VALUE.match(text.lstrip(' "'))
        return value[0].strip() if value is not None else ""
    if kind == "boxed":
        return _in_box(text)
    if kind == "stated":
        sentence = _SENTENCE.match(text.lstrip())
        return sentence[0].strip() if sentence is not None else ""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def closing_braces(text: str) -> dict[int, int]:
    """Return where each brace that is closed is closed, by its place."""
    closing, open_braces = dict[int, int](), list[int]()
    for brace in re.finditer("[{}]", text):
        if brace[0] == "{":
            open_braces.append(brace.start())
        elif open_braces:
            closing[open_braces.pop()] = brace.start()
    return closing


def _in_box(text: str) -> str:
    """Return a text up to the brace that closes the box it is in; empty where none does."""
    depth = 1
    for index, character in enumerate(text):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if not depth:
            return text[:index].strip()
    return ""


def is_right(chain: Chain) -> bool | None:
    """Return whether the chain's answer is the same as its gold answer; ``None`` if that is not known.

    It is not known if the chain has no gold answer, if its own gives no value (a box that is not closed), or if the two
    values can be neither shown to be the same nor told apart (`tokimp.chains.datasets.values.same_value`).

    >>> is_right(Chain("a", "How many?", "16 * 300 = 4800", "#### 4,800", gold="4800"))
    True
    >>> is_right(Chain("a", "How many?", "16 + 2", "There are eighteen.", gold="18")) is None
    True
    """
    if chain.gold is None:
        return None
    answer = split_answer(chain.answer)
    if not answer.value:
        return None
    return same_value(answer.value, split_answer(chain.gold).value, answer.kind)
