"""Wrong answers that a run draws for the objective ``contrast``: another option, another number, the model's own.

A drawn answer is the chain's answer with another value in its place. The rest of its text stays as it is, so that the
two differ in nothing but the value.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from hashlib import sha256

import numpy as np

from tokimp.chains.answer_value import find_answer_value
from tokimp.chains.chain import Chain, TokenizedChain
from tokimp.chains.datasets.correctness import AnswerParts, split_answer
from tokimp.chains.datasets.quantities import read_quantity
from tokimp.chains.datasets.value_texts import plain_form
from tokimp.chains.datasets.values import same_value
from tokimp.contracts.scorer import Capability, Scorer
from tokimp.errors import ObjectiveError, TokimpError, UnsupportedError
from tokimp.results.schema import unstorable

WAYS = ("option", "number", "model")

_OPTION = re.compile(r"^\s*\(?([A-Z])[.):]\s", re.MULTILINE)
_DIGITS = re.compile(r"([0-9][0-9,]*)(?:\.([0-9]+))?|\.([0-9]+)")
_TRIES = 100
_RESPONSES = 16
# Whether the model reads the reasoning, and at which temperature it writes. The first is what it thinks. A model that
# is sure of its answer writes no other, and nonsense at high temperatures; then it guesses before it reasons.
_ASKED = ((True, 1.0), (True, 2.0), (False, 1.0), (False, 2.0))


def check_way(way: str | None, scorer: Scorer) -> None:
    """Raise an error if there is no such way to draw wrong answers, or the scorer cannot give what it needs."""
    if way is not None and way not in WAYS:
        raise TokimpError(f"wrong_answers={way!r} is not allowed; give one of {', '.join(WAYS)}, or None to draw none")
    if way == "model" and Capability.GENERATION not in scorer.capabilities:
        raise UnsupportedError(
            f"wrong_answers='model' lets the model write, which the backend {scorer.backend!r} cannot do for "
            f"{scorer.model_id!r}; use another backend, or 'option' or 'number'"
        )


def with_wrong_option_or_number(chain: Chain, way: str, seed: int) -> Chain:
    """Return a chain with a wrong answer drawn by its text alone; one that has a wrong answer keeps it.

    - ``option``: another letter of the question's options, ``A. ``, ``(B) ``, each at the beginning of a line.
    - ``number``: another number of as many digits before and after the point, with the same sign, unit and separators.

    It is neither the chain's value nor the right one. It depends on the seed and the chain's id only.

    Raises
    ------
    ObjectiveError
        If the answer gives no letter, or no number; or if there is no other.
    """
    if chain.wrong_answer is not None:
        return chain
    parts = split_answer(chain.answer)
    drawn = (_other_option if way == "option" else _other_number)(chain, parts, _generator(chain.id, seed))
    return replace(chain, wrong_answer=_with_value(chain.answer, parts, drawn))


def second_choice(chain: TokenizedChain, scorer: Scorer, seed: int) -> str:
    """Return a chain's answer with the model's second choice in place of its value.

    The model goes on after the whole reasoning and what opens the value, 16 times at temperature 1. Its second choice
    is the value that it writes most often among those that are known to differ from the chain's, and are not right.
    Next to a number only a number with the same unit counts, next to a letter a letter. Where there is none, since the
    model is sure of its first choice, it writes at temperature 2, and then without having read the reasoning.

    Parameters
    ----------
    chain
        The chain as ids.
    scorer
        The model.
    seed
        The seed of the run; what is drawn for a chain depends on it, the chain and the model only.

    Raises
    ------
    ObjectiveError
        If the model gives no other value; the message names the chain.
    """
    text = chain.chain
    parts = split_answer(text.answer)
    place = find_answer_value(chain.reasoning_ids, chain.answer_ids, text.answer, parts, scorer.tokenizer)
    if place is None or place.begin == place.end:
        raise ObjectiveError(f"{text.where}: the answer {text.answer[:40]!r} gives no value that could be another one")
    opening = chain.answer_ids[: place.begin]
    for reads_reasoning, temperature in _ASKED:
        (written,) = scorer.generate(
            [(*chain.prompt_ids, *(chain.reasoning_ids if reads_reasoning else ()), *opening)],
            max_new_tokens=2 * (place.end - place.begin) + 8,
            n=_RESPONSES,
            temperature=temperature,
            seed=_number_of(text.id, seed) % 2**31,
        )
        values = [place.value_in(response, parts.kind) for response in written]
        others = Counter(value for value in values if _is_alike(value, parts.value) and _is_other(value, text, parts))
        if others:
            return _with_value(text.answer, parts, others.most_common(1)[0][0])
    raise ObjectiveError(
        f"{text.where}: the model wrote no other value than {parts.value[:40]!r} in "
        f"{len(_ASKED) * _RESPONSES} responses; draw another number or option instead (--wrong-answers), or "
        "give the chain a 'wrong_answer' field"
    )


def _is_alike(value: str, own: str) -> bool:
    """Whether a value is a number with the same unit, or a single letter, where a chain's own is."""
    one, other = read_quantity(plain_form(value)), read_quantity(plain_form(own))
    if one is None or other is None:
        return one is other and (len(own) > 1 or len(value) == 1)
    return one.unit == other.unit and not set(value) - set(own) - set("0123456789.,")


def _is_other(value: str, chain: Chain, parts: AnswerParts) -> bool:
    """Whether a value is known to differ from a chain's own, and from the right one."""
    if not value.strip() or unstorable(value) or same_value(value, parts.value, parts.kind) is not False:
        return False
    return chain.gold is None or same_value(value, split_answer(chain.gold).value, parts.kind) is not True


def _other_option(chain: Chain, parts: AnswerParts, generator: np.random.Generator) -> str:
    letters = list(dict.fromkeys(_OPTION.findall(chain.question)))
    others = [letter for letter in letters if _is_other(letter, chain, AnswerParts("choice", "", parts.value))]
    if not others:
        raise ObjectiveError(
            f"{chain.where}: no other option can be drawn: the answer gives {parts.value[:40]!r}, and the question has "
            f"the options {', '.join(letters) or '(none)'}; use number or model (--wrong-answers)"
        )
    return str(generator.choice(others))


def _other_number(chain: Chain, parts: AnswerParts, generator: np.random.Generator) -> str:
    digits = _DIGITS.search(parts.value)
    if digits is None or read_quantity(plain_form(parts.value)) is None:
        raise ObjectiveError(
            f"{chain.where}: no other number can be drawn, since the answer's value {parts.value[:40]!r} is none; use "
            "option or model (--wrong-answers)"
        )
    whole, decimals = (digits[1] or "").replace(",", ""), digits[2] or digits[3] or ""
    for _ in range(_TRIES):
        drawn = _drawn_digits(len(whole), generator)
        if digits[1] and "," in digits[1]:
            drawn = f"{int(drawn):,}"
        if decimals:
            drawn += "." + "".join(map(str, generator.integers(0, 10, len(decimals))))
        value = parts.value[: digits.start()] + drawn + parts.value[digits.end() :]
        if _is_other(value, chain, parts):
            return value
    raise ObjectiveError(f"{chain.where}: no number other than {parts.value[:40]!r} was drawn in {_TRIES} tries")


def _drawn_digits(count: int, generator: np.random.Generator) -> str:
    """Return random digits; a number of several does not begin with 0."""
    return "".join(str(generator.integers(1 if place == 0 and count > 1 else 0, 10)) for place in range(count))


def _with_value(answer: str, parts: AnswerParts, value: str) -> str:
    return parts.opening + value + answer[len(parts.opening) + len(parts.value) :]


def _generator(chain_id: str, seed: int) -> np.random.Generator:
    return np.random.default_rng(_number_of(chain_id, seed))


def _number_of(chain_id: str, seed: int) -> int:
    return int.from_bytes(sha256(f"{seed}\n{chain_id}\nwrong answer".encode()).digest()[:8], "big")
