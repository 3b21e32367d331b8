"""From a teacher's responses to chains: the first right one of each question, and what becomes of the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tokimp.contracts.task import Question
from tokimp.distillation.ask.ask import Judged
from tokimp.distillation.ask.layout import Layout
from tokimp.errors import DistillationError
from tokimp.results.schema import unstorable

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class LengthFilter:
    """Which kept chains are too short or too long to be taught (Singh and Hakkani-Tuer 2026, section on data).

    Attributes
    ----------
    min_characters
        Chains whose reasoning has fewer characters are dropped.
    longest_percentile
        Chains whose reasoning has more tokens than this percentile of those that are long enough are dropped; 100 drops
        none.
    """

    min_characters: int = 100
    longest_percentile: float = 100.0

    def check(self) -> None:
        """Raise `DistillationError` if a value is not allowed."""
        if self.min_characters < 0:
            raise DistillationError(f"min_characters={self.min_characters} is not allowed; give 0 or more")
        if not 0 < self.longest_percentile <= 100:
            raise DistillationError(
                f"longest_percentile={self.longest_percentile} is not allowed; give a number above 0, up to 100"
            )


@dataclass(slots=True)
class Selection:
    """What is made of all responses, as records of files.

    Attributes
    ----------
    chains
        One a question that has a right response; `tokimp.load_chains` reads them.
    wrong
        Responses with a wrong answer, as chains with ids of their own; those without a reasoning are in `unsplit`.
    unsplit
        Responses that give no chain: no answer was found in them, or no reasoning before it.
    dropped
        Chains that the filters dropped, each with the reason.
    counts
        How many of each.
    """

    chains: list[Record] = field(default_factory=list)
    wrong: list[Record] = field(default_factory=list)
    unsplit: list[Record] = field(default_factory=list)
    dropped: list[Record] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)


def select(
    questions: Sequence[Question], judged: Sequence[Sequence[Judged]], layout: Layout, lengths: LengthFilter
) -> Selection:
    """Keep the first right response of each question, and filter those by length.

    The filters come after the choice, as published: a question whose first right chain is too short has none.

    Parameters
    ----------
    questions, judged
        [question], and what became of its responses, [question][response].
    layout
        Counts tokens.
    lengths
        What is dropped.
    """
    selection = Selection()
    candidates = []
    duplicates = 0
    for question, responses in zip(questions, judged, strict=True):
        duplicates += len(responses) - len({each.response for each in responses})
        chosen = next((index for index, each in enumerate(responses) if each.right and each.reasoning), None)
        for index, each in enumerate(responses):
            if not each.parsed or not each.reasoning:
                selection.unsplit.append(_unsplit(question, index, each))
            elif not each.right:
                selection.wrong.append({**_chain(f"{question.id}#{index}", question, index, each), "right": False})
        if chosen is not None:
            candidates.append(_chain(question.id, question, chosen, responses[chosen]))
    _drop(selection, candidates, layout, lengths)
    every = [each for responses in judged for each in responses]
    selection.counts = {
        "sampled": len(every),
        "right": sum(each.right for each in every),
        "wrong": sum(each.parsed and not each.right for each in every),
        "unsplittable": sum(not each.parsed for each in every),
        "without_reasoning": sum(each.parsed and not each.reasoning for each in every),
        "duplicates": duplicates,
        "questions_right": sum(any(each.right for each in responses) for responses in judged),
        "kept": len(selection.chains),
    }
    for reason in _REASONS:
        selection.counts[f"dropped_{reason}"] = sum(record["dropped"] == reason for record in selection.dropped)
    return selection


_REASONS = ("unstorable", "short", "long")


def _drop(selection: Selection, candidates: Sequence[Record], layout: Layout, lengths: LengthFilter) -> None:
    """Divide candidates into chains and dropped ones; the percentile is of those that are long enough."""
    counted = [{**record, "reasoning_tokens": layout.count(record["reasoning"])} for record in candidates]
    reasons = [_too_short(record, lengths) for record in counted]
    enough = [record["reasoning_tokens"] for record, reason in zip(counted, reasons, strict=True) if not reason]
    longest = float(np.percentile(enough, lengths.longest_percentile)) if enough else 0.0
    for record, reason in zip(counted, reasons, strict=True):
        why = reason or ("long" if record["reasoning_tokens"] > longest else "")
        if why:
            selection.dropped.append({**record, "dropped": why})
        else:
            selection.chains.append(record)


def _too_short(record: Record, lengths: LengthFilter) -> str:
    if unstorable(record["reasoning"]) or unstorable(record["answer"]):
        return "unstorable"
    return "short" if len(record["reasoning"]) < lengths.min_characters else ""


def _chain(name: str, question: Question, index: int, judged: Judged) -> Record:
    return {
        "id": name,
        "question": question.text,
        "reasoning": judged.reasoning,
        "answer": judged.answer,
        "gold": question.gold,
        **({"system": question.system} if question.system else {}),
        "question_id": question.id,
        "sample": index,
    }


def _unsplit(question: Question, index: int, judged: Judged) -> Record:
    why = "no answer found" if not judged.parsed else "no reasoning before the answer"
    return {
        "question_id": question.id,
        "sample": index,
        "why": why,
        "right": judged.right,
        "response": judged.response,
        "gold": question.gold,
    }
