"""Load what ``tokimp sample`` and ``tokimp evaluate`` need: a task, its questions, and the model to ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokimp.cli.advice import without_option
from tokimp.cli.model_preparation import prepare_model
from tokimp.errors import ChainError
from tokimp.models.writing.load import Engine, load_engine

if TYPE_CHECKING:
    from tokimp.contracts.task import Question, Task
    from tokimp.models.writing.engine import WritingEngine


def ask(
    task: str,
    source: str | None,
    *,
    model: str,
    engine: Engine,
    device: str,
    dtype: str,
    trust_remote_code: bool,
    split: str,
    limit: int | None,
    seed: int,
) -> tuple[Task, list[Question], WritingEngine]:
    """Return the task, its questions and the model, as the options of `tokimp.cli.options.task_options` say."""
    from tokimp.contracts.checked_task import questions_of
    from tokimp.contracts.registry import load_task

    # Questions before the model: a mistake in a file is found before the weights take their time.
    loaded = load_task(task)
    try:
        questions = questions_of(loaded, source, limit=limit, seed=seed, split=split)
    except ChainError as error:
        # A task reads every record; --skip-bad is about questions that are too long for the model.
        raise type(error)(without_option(str(error), "--skip-bad")) from error
    prepare_model(model)
    return (
        loaded,
        questions,
        load_engine(model, engine, device=device, dtype=dtype, trust_remote_code=trust_remote_code),
    )
