"""MMLU-Pro (Wang et al. 2024): many-choice questions, and a model's full response to each."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping
from string import ascii_uppercase
from typing import Any

from tokimp.chains.chain import Chain
from tokimp.chains.datasets.records import ChainFormat, Record
from tokimp.chains.sentences import sentence_starts

_CONCLUSION = re.compile(r"\b[Tt]he answer is \(([A-Z])\)")
# What evaluations call the text that a model wrote.
_RESPONSES = ("response", "generated_text", "model_outputs")
_FEW_SHOT_OPENING = re.compile(r"\s*A:\s*")


class MmluPro(ChainFormat):
    """Fields ``question_id``, ``question``, ``options`` and ``response`` (with ``gold``), as evaluations store them.

    The outputs that MMLU-Pro's authors publish, a JSON list with ``generated_text`` (or ``model_outputs``) and
    ``answer``, are read too.

    The data set itself (``answer`` and ``cot_content`` instead of ``gold`` and ``response``) is read as well; it has
    chains in its validation split only, and the ``A:`` before them is left out.

    - question: the question, then the options, one a line, lettered ``A. ``, ``B. `` and so on
    - reasoning: the response before its last sentence with ``the answer is (X)``, white space at both ends left out
    - answer: that sentence and whatever follows it; a response without one (cut off at its length limit), or with
      nothing before it, is no chain
    - gold: the right letter
    - id: ``mmlu_pro-7687``, from ``question_id``
    """

    name = "mmlu_pro"

    def recognises(self, fields: Mapping[str, Any]) -> bool:
        """Options together with a response or a chain."""
        return "options" in fields and any(name in fields for name in (*_RESPONSES, "cot_content"))

    def chain_id(self, record: Record, part: str) -> str:
        """Return the question's id."""
        return _question_id(record)

    def chain(self, record: Record, part: str, *, keep_calculator: bool) -> Chain:
        """Return the record's chain."""
        chain_id, question, gold, letters = asked(record)
        field = next((name for name in _RESPONSES if name in record.fields), None)
        if field is not None:
            response = record.text(field, chain_id)
        else:
            response = record.text("cot_content", chain_id)
            if not response.strip():
                raise record.error(chain_id, "'cot_content' is empty; MMLU-Pro has chains in split='validation' only")
            response = _FEW_SHOT_OPENING.sub("", response, count=1) if _FEW_SHOT_OPENING.match(response) else response
        reasoning, answer = _split(record, chain_id, response, letters)
        return Chain(
            id=chain_id,
            question=question,
            reasoning=reasoning,
            answer=answer,
            gold=gold,
            source=record.where,
        )


def asked(record: Record) -> tuple[str, str, str, str]:
    """Return a record's id, its question with the lettered options, the right letter, and all letters.

    Raises
    ------
    ChainError
        If one of them is missing or of a wrong type, or the right answer is none of the options.
    """
    chain_id = _question_id(record)
    if not chain_id:
        raise record.error("", "'question_id' must be a number or text")
    options = _options(record, chain_id)
    letters = ascii_uppercase[: len(options)]
    lettered = [f"{letter}. {option}" for letter, option in zip(letters, options, strict=True)]
    gold = record.text("gold" if "gold" in record.fields else "answer", chain_id)
    if len(gold) != 1 or gold not in letters:
        raise record.error(chain_id, f"the right answer {gold!r} is not a letter of {letters[0]} to {letters[-1]}")
    return chain_id, "\n".join([record.text("question", chain_id), *lettered]), gold, letters


def _question_id(record: Record) -> str:
    question_id = record.fields.get("question_id")
    return f"mmlu_pro-{question_id}" if isinstance(question_id, str | int) else ""


def _options(record: Record, chain_id: str) -> list[str]:
    options = record.fields.get("options")
    if not isinstance(options, list) or not 2 <= len(options) <= len(ascii_uppercase):
        raise record.error(chain_id, "'options' must be a list of 2 to 26 texts")
    return [record.checked_text(option, f"options[{n}]", chain_id) for n, option in enumerate(options)]


def _split(record: Record, chain_id: str, response: str, letters: str) -> tuple[str, str]:
    conclusions = list(_CONCLUSION.finditer(response))
    if not conclusions:
        raise record.error(
            chain_id,
            f"the response has no sentence 'The answer is (X)' to split it at; it ends in {response[-40:]!r}; "
            "leave it out (--skip-bad)",
        )
    conclusion = conclusions[-1]
    if conclusion[1] not in letters:
        raise record.error(chain_id, f"the response answers ({conclusion[1]}), but options end at {letters[-1]}")
    begin = conclusion.start()
    if response[begin] == "t":  # "So the answer is (B)": the sentence began earlier
        starts = sentence_starts(response)
        begin = starts[bisect_right(starts, begin) - 1]
    return response[:begin].strip(), response[begin:].strip()
