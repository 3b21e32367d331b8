"""``tokimp evaluate``: how many questions of a task a model answers right, and whether it is more than another."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tokimp.cli.cost import asking_cost_check, cost_options
from tokimp.cli.executor_options import executor_of, executor_options
from tokimp.cli.lines import echo
from tokimp.cli.options import task_options

if TYPE_CHECKING:
    from tokimp.distillation.ask.evaluate import Evaluation


@click.command(epilog="For example: tokimp evaluate word_problems --limit 500 --out runs/student-before")
@task_options(split="test")
@executor_options
@cost_options
@click.option(
    "--before",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Compare with the evaluation in this folder of an earlier run, question by question.",
)
@click.option(
    "--batch-questions",
    default=256,
    show_default=True,
    type=click.IntRange(min=1),
    help="Questions that are answered together, and kept on disk together.",
)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder of the run.")
def evaluate(out: Path, before: Path | None, **options: Any) -> None:
    """Let a model answer the questions of TASK, and count the right answers.

    TASK is gsm8k, math, mmlu_pro, word_problems, or a plugin of another package (see tokimp plugins). SOURCE is a JSONL
    file or a hub id; by default the task's own. The folder of the run holds answers.jsonl, and the numbers in
    evaluation.json. Every finished batch is kept: the same command continues a run that was stopped.
    """
    from tokimp.cli.ask import ask
    from tokimp.cli.inputs import protect_inputs
    from tokimp.cli.progress_bar import progress_bar
    from tokimp.distillation.ask.evaluate import ANSWERS, EVALUATION, Evaluation, evaluation_of
    from tokimp.distillation.ask.evaluate import evaluate as evaluate_model
    from tokimp.distillation.ask.settings import settings_of
    from tokimp.storage.batch_log import NAME as BATCHES
    from tokimp.storage.overwriting import refuse_foreign

    made = (ANSWERS, EVALUATION)
    read: dict[str, Any] = {"SOURCE": options["source"], "--model": options["model"]}
    if before is not None:
        read |= {"--before": before / EVALUATION, "the answers of --before": before / ANSWERS}
    protect_inputs([out / name for name in (*made, "run.json", BATCHES)], read, [options["task"]])
    refuse_foreign(out, made)
    asking = {name: options.pop(name) for name in ("max_new_tokens", "batch_questions")}
    laid_out = {name: options[name] for name in ("prompt_format", "think_tags")}
    origin = {name: options[name] for name in ("source", "split", "limit", "seed")}
    # A folder that holds no evaluation, or one of other questions, is said before the model is loaded.
    look = None if before is None else partial(evaluation_of, folder=before)
    executor = executor_of(options)
    before_work = asking_cost_check(estimate=options.pop("estimate"), yes=options.pop("yes"))
    with executor, progress_bar("evaluating") as progress:
        settings = partial(settings_of, **asking)
        task, questions, student = ask(settings=settings, look=look, executor=executor, **options)
        evaluation = evaluate_model(
            student,
            task,
            questions,
            out,
            before=before,
            origin=origin,
            executor=executor,
            before_work=before_work,
            progress=progress,
            **asking,
            **laid_out,
        )
    _print(evaluation)
    if before is not None:
        _print_comparison(evaluation, Evaluation.load(before))
    echo(f"answers: {out / ANSWERS}")


def _print(evaluation: Evaluation) -> None:
    tokens = evaluation.reasoning_tokens
    length = "no reasoning" if tokens is None else f"{tokens:.1f} reasoning tokens"
    # What is not known is not counted as right, so the accuracy may be higher by as much.
    not_known = f", {evaluation.not_known:.1%} not known to be right or wrong" if evaluation.not_known else ""
    echo(
        f"{evaluation.task} by {evaluation.model_id}: {evaluation.accuracy:.1%} of {evaluation.n} right "
        f"[{evaluation.low:.1%}, {evaluation.high:.1%}]; {length} on average; "
        f"{evaluation.unparsed:.1%} without an answer{not_known}"
    )


def _print_comparison(evaluation: Evaluation, earlier: Evaluation) -> None:
    test = evaluation.against(earlier)
    echo(
        f"before ({earlier.model_id}): {earlier.accuracy:.1%}; difference {test.difference:+.1%} "
        f"[{test.low:+.1%}, {test.high:+.1%}]; right only now {test.only_first}, only before {test.only_second}; "
        f"McNemar p = {test.p_value:.2g}"
    )
