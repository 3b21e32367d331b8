"""GSM8K (Cobbe et al. 2021), answered in JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from tokimp.chains.datasets import load_chains
from tokimp.chains.datasets.correctness import split_answer
from tokimp.chains.datasets.quantities import read_quantity
from tokimp.chains.datasets.value_texts import plain_form
from tokimp.chains.datasets.values import same_value
from tokimp.contracts.constraints import Text
from tokimp.contracts.task import Question, Source, Task, draw
from tokimp.errors import TaskError

INSTRUCTION = (
    "Solve the problem step by step. At the end, give the final answer, a number and nothing else, as JSON: "
    '{"answer": "NUMBER"}'
)
_FENCE = re.compile(r"```(?:json)?\s*\Z")
_CLOSING_FENCE = re.compile(r"\s*```")


class Gsm8k(Task):
    r"""School mathematics; the answer is a number in a JSON object, ``{"answer": "18"}``.

    Singh and Hakkani-Tuer (2026) ask for it in this form. Questions are read from GSM8K's own records, in a file or
    from the hub (``gsm8k``, the default), or from any chains that `tokimp.load_chains` reads and that have a gold
    answer. `split` is the hub's; a file is one split by itself.

    Parameters
    ----------
    instruction
        What follows the question after an empty line; empty for nothing.
    """

    name = "gsm8k"
    constraints = {"instruction": Text(may_be_empty=True)}

    def __init__(self, instruction: str = INSTRUCTION) -> None:
        self.instruction = instruction

    def questions(
        self, source: Source | None = None, *, limit: int | None = None, seed: int = 0, split: str = "test"
    ) -> list[Question]:
        """Return the questions of a file, or of a split on the hub."""
        questions = []
        for chain in load_chains("gsm8k" if source is None else source, split=split):
            if chain.gold is None:
                raise TaskError(f"{chain.where}: the right answer is not known; add it (gold) or leave the chain out")
            text = f"{chain.question}\n\n{self.instruction}" if self.instruction else chain.question
            questions.append(Question(chain.id, text, chain.gold, chain.system or ""))
        return draw(questions, limit, seed)

    def split(self, response: str) -> tuple[str, str] | None:
        r"""Divide a response at its last JSON object with an answer, and at the fence around it where it has one.

        >>> Gsm8k().split('9 * 2 = 18 dollars.\n```json\n{"answer": 18}\n```')
        ('9 * 2 = 18 dollars.', '```json\n{"answer": 18}\n```')
        """
        last = next(_answers(response), None)
        if last is None:
            return None
        begin, end, _ = last
        fence = _FENCE.search(response, 0, begin)
        closing = _CLOSING_FENCE.match(response, end)
        if fence is not None and closing is not None:
            begin, end = fence.start(), closing.end()
        return response[:begin].strip(), response[begin:end].strip()

    def is_right(self, answer: str, gold: str) -> bool | None:
        """Compare the number in the JSON object, or else after ``####`` or ``A:``, with the right one.

        The question asks for a number and nothing else: ``18 eggs`` is not right. Signs of currency and per cent are
        left out of account.
        """
        last = next(_answers(answer), None)
        value = split_answer(answer).value if last is None else last[2]
        quantity = read_quantity(plain_form(value))
        if quantity is not None and quantity.unit.isalpha():
            return False
        return same_value(value, split_answer(gold).value)


def _answers(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield begin, end and answer of each JSON object that has an answer, the last object first."""
    # Numbers stay as they are written: a float would lose the digits of a long one.
    decoder: Any = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)
    begin = text.rfind("{")
    while begin >= 0:
        try:
            value, end = decoder.raw_decode(text, begin)
        except (json.JSONDecodeError, RecursionError):
            value, end = None, begin
        answer = value.get("answer") if isinstance(value, dict) else None
        # It must have a digit: weak models repeat the instruction, {"answer": "NUMBER"}.
        if isinstance(answer, str) and any(character.isdigit() for character in answer):
            yield begin, end, str(answer)
        begin = text.rfind("{", 0, begin)
