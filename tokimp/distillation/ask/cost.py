"""What putting questions to a model will cost at most: from a trial of some seconds, with short responses."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

from tokimp.bench.work_forecast import PartCost, WorkForecast
from tokimp.compare.scorer_work import ScorerWork, results_of
from tokimp.contracts.executor import Executor, Piece
from tokimp.contracts.scorer import Scorer
from tokimp.contracts.task import Question
from tokimp.distillation.ask.batches import Batch, WriteBatch
from tokimp.models.memory import with_peak_memory

_SHORT, _LONG = 8, 24
"""Tokens of a response in the trials."""
_BYTES_OF_KEYS = 120
"""What the record of a response holds beside texts."""


@dataclass(frozen=True, slots=True)
class PendingBatches:
    """What is to be asked.

    Attributes
    ----------
    batches
        The batches whose responses are not there yet.
    write
        How a batch is responded to.
    model
        The model, or what stands for that of the workers.
    executor
        Where it is asked, entered.
    times_kept
        How often the text of a response is kept on disk: as it was written, and in the file of its kind.
    """

    batches: Sequence[Batch]
    write: WriteBatch
    model: Scorer
    executor: Executor
    times_kept: int = 2


@dataclass(frozen=True, slots=True)
class Measured:
    """What a trial took.

    Attributes
    ----------
    seconds
        Wall time.
    positions
        Token positions passed through the model.
    text
        Bytes of the responses, as JSON holds them.
    memory
        The most bytes in use, weights included; ``None`` if that is not known.
    """

    seconds: float
    positions: int
    text: int
    memory: int | None


def forecast_batches(pending: PendingBatches, *, budget: float = 5.0) -> WorkForecast | None:
    """Let a model write a few tokens for more and more questions; return what all responses will cost at most.

    That is if each is as long as it may be, and no question has its right response before the last round. Seconds,
    positions and bytes grow with the number of questions as in the largest trial, and with the tokens of a response as
    between a trial of 8 and one of 24.

    Parameters
    ----------
    pending
        What is to be asked.
    budget
        Seconds for all trials together. One question is tried all the same.

    Returns
    -------
    WorkForecast or None
        None if everything is answered already.
    """
    if not pending.batches:
        return None
    settings, began = pending.write.settings, time.perf_counter()
    longest = settings.max_new_tokens
    short, long = min(_SHORT, longest), min(_LONG, longest)
    whole, count = max(pending.batches, key=lambda batch: len(batch.questions)), 1
    # Not measured: the first call compiles and allocates.
    _tried(pending, whole, 1, short)
    brief = _tried(pending, whole, 1, short)
    while count < len(whole.questions):
        more = min(2 * count, len(whole.questions))
        if time.perf_counter() - began + 6 * brief.seconds > budget:
            break
        count, brief = more, _tried(pending, whole, more, short)
    full = _tried(pending, whole, count, long) if long > short else brief
    steps = max(1, long - short)
    seconds, positions, text = (
        first + (longest - short) * max(0.0, second - first) / steps
        for first, second in (
            (brief.seconds, full.seconds),
            (brief.positions, full.positions),
            (brief.text, full.text),
        )
    )
    questions = sum(len(batch.questions) for batch in pending.batches)
    times = questions / count * settings.n / min(settings.n, settings.per_round)
    beside = sum(_beside(question) for batch in pending.batches for question, _ in batch.questions)
    part = PartCost(
        f"at most {settings.n} response{'s' if settings.n > 1 else ''} of {longest} tokens to a question",
        questions,
        positions * times,
        seconds * times,
        pending.times_kept * text * times + settings.n * beside,
        how=f"{count} questions, {long} tokens",
    )
    peaks = [measured.memory for measured in (brief, full) if measured.memory is not None]
    workers = max(1, pending.executor.size(_work(pending, pending.write)))
    return WorkForecast((part,), max(peaks, default=None), workers=workers)


def _beside(question: Question) -> int:
    """Return the bytes that stand beside a response in the file of its kind."""
    return _BYTES_OF_KEYS + len(json.dumps(question.text)) + len(json.dumps(question.gold))


def _tried(pending: PendingBatches, batch: Batch, count: int, tokens: int) -> Measured:
    settings = pending.write.settings
    one_round = replace(settings, n=settings.per_round, max_new_tokens=tokens)
    work = _work(pending, replace(pending.write, settings=one_round))
    piece = Piece(0, "a trial of the cost", Batch(batch.index, batch.questions[:count]))
    (outcome,) = results_of(pending.executor, work, [piece])
    return cast("Measured", outcome.result)


def _work(pending: PendingBatches, write: WriteBatch) -> ScorerWork:
    return ScorerWork.for_executor(pending.executor, pending.model, _MeasureBatch(write))


@dataclass(frozen=True, slots=True)
class _MeasureBatch:
    """Responds to a batch, and tells what that took."""

    write: WriteBatch

    def __call__(self, model: Scorer, batch: Batch) -> Measured:
        began = model.clock()
        written, memory = with_peak_memory(model.device, partial(self.write, model, batch))
        seconds = model.clock() - began
        text = sum(len(json.dumps(response)) for responses in written.responses for response in responses)
        return Measured(seconds, written.tokens_forwarded, text, memory)
