"""GSM8K (Cobbe et al. 2021): human-written chains, and the chains of four model set-ups."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tokimp.chains.chain import Chain
from tokimp.chains.datasets.correctness import is_right
from tokimp.chains.datasets.records import ChainFormat, Record

_CALCULATOR_NOTE = re.compile(r"<<[^<>\n]*>>")
_GOLD_MARK = "####"
_SOLUTION_MARK = "A:"


class Gsm8k(ChainFormat):
    """Fields ``question`` and ``answer``: a chain with calculator notes, then ``#### `` and the right answer.

    - reasoning: what stands before the last ``####``, without ``<<16-3-4=9>>`` notes unless they are kept
    - answer: ``#### 18``, as given
    - gold: ``18``
    - id: ``gsm8k-`` and ten digits made of question and answer, so that a chain has one id in whichever file it stands
    """

    name = "gsm8k"
    own_id = "the same question and answer stand there: leave one out"

    def recognises(self, fields: Mapping[str, Any]) -> bool:
        """Whether there is a question, and an answer that holds ``####``, and nothing that a chain of tokimp's has."""
        answer = fields.get("answer")
        own = not {"id", "reasoning"} & fields.keys()
        return own and "question" in fields and isinstance(answer, str) and _GOLD_MARK in answer

    def chain_id(self, record: Record, part: str) -> str:
        """Return a digest of question and answer, which is the same in every file."""
        return record.id_of_content("gsm8k", "question", "answer")

    def chain(self, record: Record, part: str, *, keep_calculator: bool) -> Chain:
        """Return the record's chain."""
        chain_id = self.chain_id(record, part)
        if "reasoning" in record.fields:
            raise record.error(chain_id, "it has a field 'reasoning', which GSM8K has not; name the format 'jsonl'")
        question, solution = record.text("question", chain_id), record.text("answer", chain_id)
        reasoning, mark, gold = solution.rpartition(_GOLD_MARK)
        if not mark or not gold.strip():
            raise record.error(
                chain_id, "'answer' does not end in '#### ' and the right answer; add it, or name the format"
            )
        return Chain(
            id=chain_id,
            question=question,
            reasoning=_reasoning(reasoning, keep_calculator=keep_calculator),
            answer=(mark + gold).strip(),
            gold=gold.strip(),
            source=record.where,
        )


class Gsm8kSolutions(ChainFormat):
    """GSM8K's model solutions: ``question``, ``ground_truth``, and for each set-up ``solution`` and ``is_correct``.

    Each set-up (``6b_finetuning``, ``6b_verification``, ``175b_finetuning``, ``175b_verification``) makes a chain:

    - reasoning: the solution before its last line, notes stripped unless kept
    - answer: the last line, ``A: 26``; a solution that does not end in one (cut off at its length limit) is no chain
    - gold: the right answer, from ``ground_truth``; whether the chain is right follows from the two
      (`tokimp.chains.datasets.is_right`) and, where it is known, must be what ``is_correct`` says
    - id: ``gsm8k-``, ten digits made of the question, and the set-up: ``-6b_finetuning``
    """

    name = "gsm8k_solutions"
    own_id = "the same question stands there: leave one out"

    def recognises(self, fields: Mapping[str, Any]) -> bool:
        """Only this format has a field ``ground_truth``."""
        return "ground_truth" in fields and "question" in fields

    def parts(self, record: Record) -> Sequence[str]:
        """Return the names of the set-ups."""
        return [name for name in record.fields if name not in ("question", "ground_truth")] or [""]

    def chain_id(self, record: Record, part: str) -> str:
        """Return a digest of the question, and the set-up."""
        return f"{record.id_of_content('gsm8k', 'question')}-{part}"

    def chain(self, record: Record, part: str, *, keep_calculator: bool) -> Chain:
        """Return the chain of one set-up."""
        chain_id = self.chain_id(record, part)
        setup = record.fields.get(part)
        if not isinstance(setup, dict) or not {"solution", "is_correct"} <= setup.keys():
            raise record.error(chain_id, f"set-up {part!r} must be an object with 'solution' and 'is_correct'")
        question, truth = record.text("question", chain_id), record.text("ground_truth", chain_id)
        solution = record.checked_text(setup["solution"], "solution", chain_id)
        reasoning, answer = _split_solution(record, chain_id, solution, "solution")
        gold = _split_solution(record, chain_id, truth, "ground_truth")[1].removeprefix(_SOLUTION_MARK).strip()
        chain = Chain(
            id=chain_id,
            question=question,
            reasoning=_reasoning(reasoning, keep_calculator=keep_calculator),
            answer=answer,
            gold=gold,
            source=record.where,
        )
        if is_right(chain) is (not setup["is_correct"]):
            raise record.error(
                chain_id,
                f"'is_correct' is {setup['is_correct']!r}, but the answer is {answer!r} and the right one {gold!r}; "
                "correct one of them",
            )
        return chain


def _split_solution(record: Record, chain_id: str, text: str, field: str) -> tuple[str, str]:
    reasoning, _, last = text.rstrip().rpartition("\n")
    if not last.startswith(_SOLUTION_MARK) or not last.removeprefix(_SOLUTION_MARK).strip():
        raise record.error(
            chain_id,
            f"{field!r} does not end in a line 'A: ' and an answer; it ends in {last[-40:]!r}; leave it out "
            "(--skip-bad)",
        )
    return reasoning, last


def _reasoning(text: str, *, keep_calculator: bool) -> str:
    return (text if keep_calculator else _CALCULATOR_NOTE.sub("", text)).strip()
