"""How long a plan will take: what is left of its work, divided by how fast its models are in a short trial."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tokimp.bench.matmul import synchronize
from tokimp.bench.piece_forecast import PieceForecast
from tokimp.chains.chain import TokenizedChain
from tokimp.compare.scorer_work import ScorerWork, results_of
from tokimp.contracts.executor import Executor, Piece
from tokimp.contracts.scorer import Scorer
from tokimp.contracts.scorer_recipe import ScorerRecipe
from tokimp.distillation.plan.inputs import trust
from tokimp.distillation.plan.models import ModelSpec
from tokimp.distillation.plan.plan import Plan
from tokimp.distillation.steps.cell_steps import CellStep, steps
from tokimp.distillation.steps.forecast import Amount, forecast, stand_in
from tokimp.distillation.steps.step import Step
from tokimp.models.kept_scorer import forget_kept_scorer

_PROMPTS, _TOKENS = 8, 16
"""Responses of the trial of writing, and their tokens."""
_TRAINING = 3.0
"""Passes that learning from a position takes: one forward, and one back that costs two."""
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


def forecast_plan(pending: PendingPlan) -> PieceForecast | None:
    """Load each model of the steps that are left, let it write and read a little, and return what the rest will take.

    Parameters
    ----------
    pending
        What is left.

    Returns
    -------
    PieceForecast or None
        None if nothing is left. Positions and tokens are added up; seconds are those of one worker.
    """
    left = [(amount, share) for amount in forecast(pending.plan, pending.folder) if (share := _left(pending, amount))]
    if not left:
        return None
    # Recipes are not keys: their options are a mapping.
    rates: list[tuple[ScorerRecipe, float]] = []
    positions = seconds = 0.0
    for amount, share in left:
        positions += amount.number * share
        for spec in amount.models:
            recipe = _recipe(spec, only_writes=amount.what in _WRITES)
            rate = next((known for of, known in rates if of == recipe), None)
            if rate is None:
                rate = _rate(pending.executor, recipe)
                rates.append((recipe, rate))
            passes = _TRAINING if amount.what == "positions to train" else 1.0
            seconds += passes * amount.number * share / len(amount.models) / rate
    forget_kept_scorer()
    work = ScorerWork(rates[0][0], _reading_rate)
    return PieceForecast(
        what="steps of the plan",
        pieces=len(pending.unfinished),
        positions=positions,
        seconds=seconds,
        tried=f"{len(rates)} models, some seconds each",
        workers=max(1, pending.executor.size(work)),
    )


def _left(pending: PendingPlan, amount: Amount) -> float:
    """Return which share of an amount is left to do: all or nothing of a step, or a share of the students."""
    if not amount.models:
        return 0.0
    if amount.step:
        return float(any(step.name == amount.step for step in pending.unfinished))
    trains = amount.what == "positions to train"

    def students(of: Sequence[Step]) -> int:
        return sum(isinstance(step, CellStep) and not (trains and step.cell.teacher is None) for step in of)

    return students(pending.unfinished) / max(1, students(steps(pending.plan, pending.folder)))


def _recipe(spec: ModelSpec, *, only_writes: bool) -> ScorerRecipe:
    backend = spec.engine if only_writes else spec.backend
    return ScorerRecipe(spec.model, backend, spec.device, spec.dtype, options=trust(spec), only_writes=only_writes)


def _rate(executor: Executor, recipe: ScorerRecipe) -> float:
    """Return how many tokens a model writes, or positions it reads, in a second."""
    work = ScorerWork(recipe, _writing_rate if recipe.only_writes else _reading_rate)
    (outcome,) = results_of(executor, work, [Piece(0, f"a trial of {recipe.model}", stand_in(100, 150, 12))])
    return float(outcome.result)


def _writing_rate(model: Scorer, chain: TokenizedChain) -> float:
    """Return the tokens that a model writes in a second."""
    seconds, positions = math.inf, 1
    prompts = [list(chain.prompt_ids)] * _PROMPTS
    # The first call compiles and allocates.
    for _ in range(2):
        before, began = model.tokens_forwarded, time.perf_counter()
        model.generate(prompts, max_new_tokens=_TOKENS, temperature=1.0)
        synchronize(model.device if model.device != "vllm" else "cpu")
        seconds, positions = time.perf_counter() - began, model.tokens_forwarded - before
    # Responses that end early are fewer tokens, and take less time.
    written = max(1, positions - len(chain.prompt_ids) * _PROMPTS)
    return written / seconds


def _reading_rate(scorer: Scorer, chain: TokenizedChain) -> float:
    """Return the token positions that a model reads in a second."""
    chains = [replace(chain, chain=replace(chain.chain, id=f"{number}")) for number in range(4)]
    seconds = math.inf
    for _ in range(2):
        began = time.perf_counter()
        scorer.logprobs(chains)
        synchronize(scorer.device)
        seconds = time.perf_counter() - began
    return sum(map(len, chains)) / seconds
