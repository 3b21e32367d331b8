"""What a plan is made of: models, methods and sets of questions."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model of a plan.

    Attributes
    ----------
    name
        What it is called in folders and tables.
    model
        What `tokimp.load_scorer` takes.
    backend
        With which a pruner is asked.
    engine
        With which a teacher or student writes.
    device, dtype, trust_remote_code
        As of `tokimp.load_scorer`.
    """

    name: str
    model: str
    backend: str = "transformer_lens"
    engine: str = "transformers"
    device: str = "auto"
    dtype: str = "auto"
    trust_remote_code: bool = False


@dataclass(frozen=True, slots=True)
class Method:
    """A way of pruning: an estimator, as it is named on the command line, and what it is to preserve."""

    name: str
    estimator: str
    objective: str = "joint"


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """Which questions of the task: the arguments of `tokimp.contracts.task.Task.questions`."""

    split: str
    source: str | None = None
    limit: int | None = None
    seed: int = 0
