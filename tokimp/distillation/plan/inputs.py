"""What a plan reads, its questions and models: read once a process, and told apart by digests."""

from __future__ import annotations

from dataclasses import asdict
from functools import lru_cache
from typing import Any

from tokimp.contracts.registry import load_task
from tokimp.contracts.scorer import Scorer
from tokimp.contracts.task import Question
from tokimp.distillation.plan.plan import ModelSpec, QuestionSet
from tokimp.models.writing.load import load_engine
from tokimp.storage.digests import json_digest, model_digest


@lru_cache(maxsize=8)
def task_questions(task: str, questions: QuestionSet) -> tuple[Question, ...]:
    """Return the questions of a plan, read once a process."""
    return tuple(
        load_task(task).questions(questions.source, limit=questions.limit, seed=questions.seed, split=questions.split)
    )


@lru_cache(maxsize=8)
def questions_digest(task: str, questions: QuestionSet) -> str:
    """Return a digest of the questions of a plan."""
    return json_digest([[each.id, each.text, each.gold, each.system] for each in task_questions(task, questions)])


@lru_cache(maxsize=64)
def _digest_of(model: str) -> str:
    return model_digest(model)


def forget_files() -> None:
    """Read models' files and questions anew: at the start of a run they may have changed since the last."""
    for known in (_digest_of, task_questions, questions_digest):
        known.cache_clear()


def model_identity(spec: ModelSpec) -> dict[str, Any]:
    """Return what tells a model from another; not its name in the plan, nor the device, which may change."""
    told = {key: value for key, value in asdict(spec).items() if key not in {"name", "device"}}
    return {**told, "files": _digest_of(spec.model)}


def load_writer(spec: ModelSpec, model: str) -> Scorer:
    """Load what writes responses: a model of a plan, or with `model` what has become of it."""
    return load_engine(model, spec.engine, device=spec.device, dtype=spec.dtype, **trust(spec))  # type: ignore[arg-type] # any text: a wrong one is refused there


def trust(spec: ModelSpec) -> dict[str, bool]:
    """Return the option that lets a model run its own code, where the plan says so."""
    return {"trust_remote_code": True} if spec.trust_remote_code else {}
