"""What the commands that put a task to a model share: which questions, which model, how it is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from tokimp.chains.prompt_format import PROMPT_FORMATS
from tokimp.cli.options import Checked, keep_to_one_thread, tell_of_the_hub
from tokimp.contracts.registry import load_task
from tokimp.contracts.scorer import Scorer
from tokimp.contracts.task import Question, Task
from tokimp.models.writing.load import ENGINES, Engine, load_engine


def _check_task(specification: str) -> None:
    load_task(specification).validate_parameters()


TASK = Checked("task", _check_task)


def task_options(split: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command the options that `ask` takes; `split` is the default of ``--split``."""
    decorators: list[Callable[[Any], Any]] = [
        click.argument("task", type=TASK, metavar="TASK[:PARAMETER=VALUE,...]"),
        click.argument("source", required=False),
        click.option("--model", default="tiny", show_default=True, help="Hub id, local folder, GGUF file, or 'tiny'."),
        click.option(
            "--engine", default="transformers", show_default=True, type=click.Choice(ENGINES), help="What writes."
        ),
        click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps."),
        click.option("--dtype", default="auto", show_default=True, help="auto, float32, bfloat16, float16."),
        click.option("--trust-remote-code", is_flag=True, help="Let the model's repository run its own code."),
        click.option(
            "--prompt-format",
            default="auto",
            show_default=True,
            type=click.Choice(PROMPT_FORMATS),
            help="How question, reasoning and answer are laid out.",
        ),
        click.option(
            "--split", default=split, show_default=True, help="train or test; of a file, only MMLU-Pro's is divided."
        ),
        click.option("--limit", type=click.IntRange(min=1), help="Ask N questions only, drawn (or made) by the seed."),
        click.option(
            "--seed",
            default=0,
            show_default=True,
            type=click.IntRange(0, 2**32 - 1),
            help="Of everything that draws at random.",
        ),
        click.option(
            "--max-new-tokens", type=click.IntRange(min=1), help="Most tokens of a response.  [default: the task's own]"
        ),
    ]

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for each in reversed(decorators):
            function = each(function)
        return function

    return decorate


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
) -> tuple[Task, list[Question], Scorer]:
    """Return the task, its questions and the model, as the options say."""
    # Questions before the model: a mistake in a file is found before the weights take their time.
    loaded = load_task(task)
    questions = loaded.questions(source, limit=limit, seed=seed, split=split)
    keep_to_one_thread(model)
    tell_of_the_hub(model)
    return (
        loaded,
        questions,
        load_engine(model, engine, device=device, dtype=dtype, trust_remote_code=trust_remote_code),
    )
