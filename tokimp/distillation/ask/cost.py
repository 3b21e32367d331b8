"""What putting questions to a model will cost at most: from a trial of some seconds, with short responses."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

from tokimp.bench.piece_forecast import PieceForecast
from tokimp.compare.scorer_work import ScorerWork, results_of
from tokimp.contracts.executor import Executor, Piece
from tokimp.contracts.scorer import Scorer
from tokimp.distillation.ask.batches import Batch, WriteBatch

_SHORT, _LONG = 8, 24
"""Tokens of a response in the trials."""


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
    """

    batches: Sequence[Batch]
    write: WriteBatch
    model: Scorer
    executor: Executor


@dataclass(frozen=True, slots=True)
class Measured:
    """What a trial took.

    Attributes
    ----------
    seconds
        Wall time.
    positions
        Token positions passed through the model.
    """

    seconds: float
    positions: int


def forecast_batches(pending: PendingBatches, *, budget: float = 5.0) -> PieceForecast | None:
    """Let a model write a few tokens for more and more questions; return what all responses will cost at most.

    That is if each is as long as it may be, and no question has its right response before the last round. Seconds and
    positions grow with the number of questions as in the largest trial, and with the tokens of a response as between a
    trial of 8 and one of 24.

    Parameters
    ----------
    pending
        What is to be asked.
    budget
        Seconds for all trials together. One question is tried all the same.

    Returns
    -------
    PieceForecast or None
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
    seconds, positions = (
        first + (longest - short) * max(0.0, second - first) / steps
        for first, second in ((brief.seconds, full.seconds), (brief.positions, full.positions))
    )
    questions = sum(len(batch.questions) for batch in pending.batches)
    times = questions / count * settings.n / min(settings.n, settings.per_round)
    return PieceForecast(
        what=f"at most {settings.n} responses of {longest} tokens to a question",
        pieces=questions,
        positions=positions * times,
        seconds=seconds * times,
        tried=f"{count} questions, {long} tokens",
        workers=max(1, pending.executor.size(_work(pending, pending.write))),
    )


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
        written = self.write(model, batch)
        return Measured(model.clock() - began, written.tokens_forwarded)
