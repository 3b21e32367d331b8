"""Load what ``tokimp sample`` and ``tokimp evaluate`` need: a task, its questions, and the model to ask."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tokimp.cli.advice import without_option
from tokimp.cli.model_preparation import prepare_model
from tokimp.cli.options import given
from tokimp.errors import ChainError
from tokimp.models.writing.load import Engine, load_engine_recipe

if TYPE_CHECKING:
    from tokimp.chains.prompt_format import PromptFormat
    from tokimp.contracts.executor import Executor
    from tokimp.contracts.scorer import Scorer
    from tokimp.contracts.task import Question, Task
    from tokimp.distillation.ask.settings import AskSettings


def ask(
    task: str,
    source: str | None,
    *,
    model: str,
    engine: Engine,
    device: str,
    dtype: str,
    device_map: str | None,
    offload_folder: Path | None,
    quantization: str | None,
    trust_remote_code: bool,
    split: str,
    limit: int | None,
    seed: int,
    prompt_format: PromptFormat,
    think_tags: tuple[str, str] | None,
    settings: Callable[[Task], AskSettings],
    executor: Executor,
    skip_bad: bool = False,
    look: Callable[[list[Question]], object] | None = None,
) -> tuple[Task, list[Question], Scorer]:
    """Return the task, its questions and the model, as the options say; what can be known before is said before.

    Parameters
    ----------
    task, source, model, ...
        The options of `tokimp.cli.options.task_options`.
    settings
        Makes the settings with which a task's questions are asked.
    executor
        Where the model is asked, entered: workers load it themselves.
    skip_bad
        Whether questions that are too long for the model will be left out.
    look
        Called with the questions before the model is loaded.
    """
    from tokimp.compare.worker_scorer import scorer_of_workers
    from tokimp.contracts.checked_task import questions_of
    from tokimp.contracts.registry import load_task
    from tokimp.contracts.scorer_recipe import recipe_of
    from tokimp.distillation.ask.before_loading import check_before_asking

    # Questions before the model: a mistake in a file is found before the weights take their time.
    loaded = load_task(task)
    try:
        questions = questions_of(loaded, source, limit=limit, seed=seed, split=split)
    except ChainError as error:
        # A task reads every record; --skip-bad is about questions that are too long for the model.
        raise type(error)(without_option(str(error), "--skip-bad")) from error
    if look is not None:
        look(questions)
    prepare_model(model)
    check_before_asking(
        loaded,
        questions,
        settings(loaded),
        model=model,
        prompt_format=prompt_format,
        think_tags=think_tags,
        skip_bad=skip_bad,
        trust_remote_code=trust_remote_code,
    )
    placed = given(device_map=device_map, offload_folder=offload_folder, quantization=quantization)
    recipe = recipe_of(
        model,
        engine,
        device=device,
        dtype=dtype,
        tokenizer=None,
        options={"trust_remote_code": trust_remote_code, **placed},
        only_writes=True,
    )
    assert recipe is not None  # noqa: S101 - what is typed is text
    # Where workers load the model, it is not loaded here as well.
    return loaded, questions, load_engine_recipe(recipe) if executor.here else scorer_of_workers(executor, recipe)
