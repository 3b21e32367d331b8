"""What a plan reads, its questions and models: read once a process, and told apart by digests."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from tokimp.compare.worker_scorer import scorer_of_workers
from tokimp.contracts.checked_task import questions_of
from tokimp.contracts.executor import Executor
from tokimp.contracts.registry import load_task
from tokimp.contracts.scorer import Scorer
from tokimp.contracts.scorer_recipe import ScorerRecipe
from tokimp.contracts.task import Question
from tokimp.distillation.plan.models import ModelSpec
from tokimp.distillation.plan.plan import QuestionSet
from tokimp.models.writing.load import load_engine
from tokimp.storage.digests import json_digest, model_digest


@lru_cache(maxsize=8)
def task_questions(task: str, questions: QuestionSet) -> tuple[Question, ...]:
    """Return the questions of a plan, read once a process."""
    return tuple(
        questions_of(
            load_task(task), questions.source, limit=questions.limit, seed=questions.seed, split=questions.split
        )
    )


@lru_cache(maxsize=8)
def questions_digest(task: str, questions: QuestionSet) -> str:
    """Return a digest of the questions of a plan."""
    asked = task_questions(task, questions)
    return json_digest([[question.id, question.text, question.gold, question.system] for question in asked])


@lru_cache(maxsize=64)
def _digest_of(model: str) -> str:
    return model_digest(model)


def forget_files() -> None:
    """Forget what was read of models and questions: at the start of a run, files may differ from the last run's."""
    for cached in (_digest_of, task_questions, questions_digest):
        cached.cache_clear()


def spec_identity(spec: ModelSpec) -> dict[str, Any]:
    """Return what tells one model of a plan from another; not its name there, nor its place, which may change."""
    places = {"name", "device", "device_map", "offload_folder"}
    settings = {key: value for key, value in spec.described().items() if key not in places}
    return {**settings, "files": _digest_of(spec.model)}


def load_writer(spec: ModelSpec, model: str, executor: Executor | None = None) -> Scorer:
    """Load a model to write responses with.

    Parameters
    ----------
    spec
        How to run it.
    model
        What to load: the model of `spec`, or a student that was trained from it.
    executor
        Whose workers load it, entered; here by default.
    """
    if executor is None or executor.here:
        return load_engine(model, spec.engine, device=spec.device, dtype=spec.dtype, **spec.options())
    recipe = ScorerRecipe(model, spec.engine, spec.device, spec.dtype, options=spec.options(), only_writes=True)
    return scorer_of_workers(executor, recipe)
