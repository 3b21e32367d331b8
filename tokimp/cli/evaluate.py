"""``tokimp evaluate``: how many questions of a task a model answers right, and whether more than another does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tokimp.cli.progress_bar import progress_bar
from tokimp.cli.task_options import ask, task_options
from tokimp.distillation.ask.evaluate import ANSWERS, INTERVALS, Evaluation
from tokimp.distillation.ask.evaluate import evaluate as evaluate_model


@click.command(epilog="For example: tokimp evaluate word_problems --limit 500 --out runs/student-before")
@task_options(split="test")
@click.option(
    "--interval", default="wilson", show_default=True, type=click.Choice(INTERVALS), help="Of the accuracy, 95 %."
)
@click.option(
    "--before",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Compare with the evaluation in this folder, question by question.",
)
@click.option(
    "--batch-questions",
    default=256,
    show_default=True,
    type=click.IntRange(min=1),
    help="Questions answered together, and kept together.",
)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder of the run.")
def evaluate(out: Path, before: Path | None, **options: Any) -> None:
    """Let a model answer the questions of TASK, and count the right ones.

    TASK is gsm8k, math, mmlu_pro, word_problems, or another package's (tokimp plugins). SOURCE is a JSONL file or a hub
    id; the task's own by default. Answers are in DIR/answers.jsonl, numbers in DIR/evaluation.json; every finished
    batch is kept, so the same command continues a run that was killed.
    """
    names = ("prompt_format", "max_new_tokens", "interval", "batch_questions")
    settings = {name: options.pop(name) for name in names}
    origin = {name: options[name] for name in ("source", "split", "limit", "seed")}
    task, questions, student = ask(**options)
    with progress_bar("evaluating") as progress:
        found = evaluate_model(
            student, task, questions, out, before=before, origin=origin, progress=progress, **settings
        )
    _print(found)
    if before is not None:
        _print_comparison(found, Evaluation.load(before))
    click.echo(f"answers: {out / ANSWERS}")


def _print(found: Evaluation) -> None:
    length = "no reasoning" if found.reasoning_tokens is None else f"{found.reasoning_tokens:.1f} reasoning tokens"
    click.echo(
        f"{found.task} by {found.model_id}: {found.accuracy:.1%} of {found.n} right "
        f"[{found.low:.1%}, {found.high:.1%}]; {length} on average; {found.unparsed:.1%} without an answer"
    )


def _print_comparison(found: Evaluation, before: Evaluation) -> None:
    test = found.against(before)
    click.echo(
        f"before ({before.model_id}): {before.accuracy:.1%}; difference {test.difference:+.1%} "
        f"[{test.low:+.1%}, {test.high:+.1%}]; right only now {test.only_first}, only before {test.only_second}; "
        f"McNemar p = {test.p_value:.2g}"
    )
