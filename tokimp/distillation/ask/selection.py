"""Select chains from a teacher's responses: the first right one of each question, and files for the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tokimp.contracts.task import Question
from tokimp.distillation.ask.batches import Judged
from tokimp.distillation.ask.layout import Layout
from tokimp.errors import DistillationError
from tokimp.results.schema import unstorable

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class LengthFilter:
    """Limits on the length of chains to learn from (Singh and Hakkani-Tuer 2026, section on data).

    Attributes
    ----------
    min_characters
        Chains whose reasoning has fewer characters are dropped.
    longest_percentile
        Chains whose reasoning has more tokens than this percentile, taken over the chains that are long enough, are
        dropped; 100 drops none.
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
    """All responses, sorted into the records of four files.

    Attributes
    ----------
    chains
        One chain for each question with a right response; `tokimp.load_chains` reads them.
    wrong
        Responses with a wrong answer, as chains with ids of their own; those without a reasoning are in `unsplit`.
    unsplit
        Responses that give no chain: no answer was found in them, no reasoning before it, or whether the answer is
        right is not known.
    dropped
        Chains dropped for their length or their characters, each with the reason.
    counts
        The numbers of `tokimp.distillation.ask.sample.SampleReport` that follow from the responses.
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

    Lengths are checked after the choice, as published: a question whose first right chain is too short has none.

    Parameters
    ----------
    questions, judged
        The questions, [question], and their judged responses, [question][response].
    layout
        What counts tokens.
    lengths
        Which lengths are kept.
    """
    selection = Selection()
    candidates = []
    duplicates = 0
    for question, responses in zip(questions, judged, strict=True):
        duplicates += len(responses) - len({judgement.response for judgement in responses})
        chosen = next(
            (index for index, judgement in enumerate(responses) if judgement.right and judgement.reasoning), None
        )
        for index, judgement in enumerate(responses):
            if not judgement.parsed or not judgement.reasoning or judgement.right is None:
                selection.unsplit.append(_unsplit(question, index, judgement))
            elif not judgement.right:
                chain = _chain(f"{question.id}#{index}", question, index, judgement)
                selection.wrong.append({**chain, "right": False})
        if chosen is not None:
            candidates.append(_chain(question.id, question, chosen, responses[chosen]))
    _drop(selection, candidates, layout, lengths)
    every = [judgement for responses in judged for judgement in responses]
    selection.counts = {
        "sampled": len(every),
        "right": sum(judgement.right is True for judgement in every),
        "wrong": sum(judgement.parsed and judgement.right is False for judgement in every),
        "not_known": sum(judgement.parsed and judgement.right is None for judgement in every),
        "unsplittable": sum(not judgement.parsed for judgement in every),
        "without_reasoning": sum(judgement.parsed and not judgement.reasoning for judgement in every),
        "duplicates": duplicates,
        "questions_right": sum(any(judgement.right for judgement in responses) for responses in judged),
        "kept": len(selection.chains),
    }
    for reason in _REASONS:
        selection.counts[f"dropped_{reason}"] = sum(record["dropped"] == reason for record in selection.dropped)
    return selection


_REASONS = ("unstorable", "short", "long")


def _drop(selection: Selection, candidates: Sequence[Record], layout: Layout, lengths: LengthFilter) -> None:
    """Sort candidates into chains and dropped ones; the percentile is taken over those that are long enough."""
    counted = [{**record, "reasoning_tokens": layout.count(record["reasoning"])} for record in candidates]
    reasons = [_reason_to_drop(record, lengths) for record in counted]
    long_enough = [record["reasoning_tokens"] for record, reason in zip(counted, reasons, strict=True) if not reason]
    longest = float(np.percentile(long_enough, lengths.longest_percentile)) if long_enough else 0.0
    for record, reason in zip(counted, reasons, strict=True):
        why = reason or ("long" if record["reasoning_tokens"] > longest else "")
        if why:
            selection.dropped.append({**record, "dropped": why})
        else:
            selection.chains.append(record)


def _reason_to_drop(record: Record, lengths: LengthFilter) -> str:
    """Return why a chain is dropped whatever the others are; empty if it is not."""
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
    if not judged.parsed:
        why = "no answer found"
    elif not judged.reasoning:
        why = "no reasoning before the answer"
    else:
        why = "whether the answer is right is not known"
    return {
        "question_id": question.id,
        "sample": index,
        "why": why,
        "right": judged.right,
        "response": judged.response,
        "gold": question.gold,
    }
