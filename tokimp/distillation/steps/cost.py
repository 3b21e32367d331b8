"""What a plan will cost: what is left of its amounts, divided by how fast its models are in a short trial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokimp.bench.work_forecast import PartCost, WorkForecast
from tokimp.compare.scorer_work import ScorerWork
from tokimp.contracts.executor import Executor
from tokimp.contracts.scorer_recipe import ScorerRecipe
from tokimp.distillation.plan.models import ModelSpec
from tokimp.distillation.plan.plan import Plan
from tokimp.distillation.steps.cell_steps import CellStep, steps
from tokimp.distillation.steps.forecast import Amount, forecast
from tokimp.distillation.steps.step import Step
from tokimp.distillation.steps.trial import Trial, try_model
from tokimp.models.kept_scorer import forget_kept_scorer

_TRAINING = 3.0
"""Passes that learning from a position takes: one forward, and one back that costs two."""
_CELLS, _TRAINED = "cells", "positions to train"
_WRITES = ("tokens to sample", "tokens to test")


@dataclass(frozen=True, slots=True)
class PendingPlan:
    """What is left of a plan.

    Attributes
    ----------
    plan, folder
        The plan and its folder.
    unfinished
        The steps to do.
    executor
        Where they are done, entered.
    """

    plan: Plan
    folder: Path
    unfinished: Sequence[Step]
    executor: Executor


@dataclass(frozen=True, slots=True)
class PlanAssumptions:
    """What is assumed of texts that are not there yet, and how models are tried.

    Attributes
    ----------
    reasoning_tokens, question_tokens
        As of `tokimp.distillation.steps.forecast.forecast`.
    tries
        Whether models are loaded and tried at all; without it no time is known.
    fetches
        Whether a model that is not here may be fetched from the hub.
    """

    reasoning_tokens: float = 150.0
    question_tokens: float = 100.0
    tries: bool = True
    fetches: bool = True


def forecast_plan(pending: PendingPlan, assumed: PlanAssumptions | None = None) -> WorkForecast | None:
    """Load each model of the steps that are left, let it write and read a little, and return what the rest will cost.

    What a model that cannot be loaded does takes a time that is not known, and a note says why.

    Parameters
    ----------
    pending
        What is left.
    assumed
        What is assumed of texts that are not there yet; the defaults by default.

    Returns
    -------
    WorkForecast or None
        None if nothing is left. The memory of a part is that of its trial, and not known for a training, which takes
        more than reading does.
    """
    assumed = assumed or PlanAssumptions()
    amounts = forecast(
        pending.plan,
        pending.folder,
        reasoning_tokens=assumed.reasoning_tokens,
        question_tokens=assumed.question_tokens,
    )
    left = [(amount, share) for amount in amounts if (share := _left(pending, amount))]
    if not left:
        return None
    trials = _Trials(pending.executor, assumed)
    # A cell is counted as its training and its test.
    parts = [_part(amount, share, trials) for amount, share in left if amount.what != _CELLS]
    cells = [f"{amount.number * share:.0f} {amount.whose}" for amount, share in left if amount.what == _CELLS]
    if assumed.tries:
        forget_kept_scorer()
    return WorkForecast(
        tuple(parts),
        workers=trials.workers,
        notes=(*([f"cells: {', '.join(cells)}"] if cells else []), *_notes(pending), *trials.notes()),
    )


class _Trials:
    """The trials of models, each made once."""

    def __init__(self, executor: Executor, assumed: PlanAssumptions) -> None:
        self._executor, self._assumed = executor, assumed
        # Recipes are not keys: their options are a mapping.
        self._made: list[tuple[ScorerRecipe, Trial | str]] = []

    def of(self, spec: ModelSpec, *, only_writes: bool) -> Trial | None:
        """Return the trial of a model; ``None`` if it was not made."""
        if not self._assumed.tries:
            return None
        backend = spec.engine if only_writes else spec.backend
        recipe = ScorerRecipe(
            spec.model, backend, spec.device, spec.dtype, options=spec.options(), only_writes=only_writes
        )
        made = next((trial for known, trial in self._made if known == recipe), None)
        if made is None:
            made = try_model(self._executor, recipe, fetches=self._assumed.fetches)
            self._made.append((recipe, made))
        return None if isinstance(made, str) else made

    @property
    def workers(self) -> int:
        """How many workers share the work."""
        tried = next((recipe for recipe, trial in self._made if not isinstance(trial, str)), None)
        return 1 if tried is None else max(1, self._executor.size(ScorerWork(tried, _nothing)))

    def notes(self) -> list[str]:
        """Return why times are not known, a line for each reason."""
        if not self._assumed.tries:
            return ["no model was tried, so that no time is known"]
        reasons = dict.fromkeys(trial for _, trial in self._made if isinstance(trial, str))
        return [f"not tried: {reason}" for reason in reasons]


def _nothing(_scorer: object, _payload: object) -> None:
    """Stands for what is done where only the number of workers matters."""


def _part(amount: Amount, share: float, trials: _Trials) -> PartCost:
    """Return what the share of an amount that is left will cost."""
    number = amount.number * share
    pieces = None if amount.pieces is None else round(amount.pieces * share)
    kept = None if amount.bytes_on_disk is None else amount.bytes_on_disk * share
    tried = [trials.of(spec, only_writes=amount.what in _WRITES) for spec in amount.models]
    known = [trial for trial in tried if trial is not None]
    passes = _TRAINING if amount.what == _TRAINED else 1.0
    seconds = None
    if len(known) == len(tried):
        texts = pieces or 0
        seconds = sum(passes * number / trial.rate + texts * trial.seconds_a_prompt for trial in known) / len(tried)
    # Gradients and the optimiser's numbers come on top, which no trial of reading shows.
    peaks = [trial.memory for trial in known if trial.memory is not None and amount.what != _TRAINED]
    memory = max(peaks, default=None)
    return PartCost(amount.what, pieces, number, seconds, kept, memory, amount.how, amount.whose)


def _notes(pending: PendingPlan) -> list[str]:
    everything = steps(pending.plan, pending.folder)
    names = {step.name for step in pending.unfinished}
    done = sum(step.name not in names for step in everything)
    return [f"{done} of {len(everything)} steps are not counted: they are done, or not asked for"] if done else []


def _left(pending: PendingPlan, amount: Amount) -> float:
    """Return which share of an amount is left to do: all or nothing of a step, or a share of the students."""
    if amount.step:
        return float(any(step.name == amount.step for step in pending.unfinished))

    def students(of: Sequence[Step]) -> int:
        cells = [step.cell for step in of if isinstance(step, CellStep)]
        if amount.what == _CELLS:
            return sum(cell.kind == amount.whose for cell in cells)
        return sum(amount.what != _TRAINED or cell.teacher is not None for cell in cells)

    return students(pending.unfinished) / max(1, students(steps(pending.plan, pending.folder)))
