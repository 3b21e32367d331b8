"""``tokimp sample``: a teacher writes chains, and the first right one of each question is kept."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tokimp.cli.cost import asking_cost_check, cost_options
from tokimp.cli.executor_options import executor_of, executor_options
from tokimp.cli.lines import echo, echo_left_out
from tokimp.cli.options import task_options

if TYPE_CHECKING:
    from tokimp.chains.datasets import SkippedRecord
    from tokimp.distillation.ask.sample import SampleReport


@click.command(epilog="For example: tokimp sample word_problems --limit 200 --n 4 --out runs/teacher")
@task_options(split="train")
@executor_options
@cost_options
@click.option("--n", default=10, show_default=True, type=click.IntRange(min=1), help="Responses to each question.")
@click.option(
    "--temperature",
    default=0.7,
    show_default=True,
    type=click.FloatRange(min=0),
    help="Sampling temperature; 0 always takes the most likely token.",
)
@click.option(
    "--per-round",
    type=click.IntRange(min=1),
    metavar="K",
    help="Write K responses at a time, and stop asking a question once one is right.  [default: all at once]",
)
@click.option(
    "--min-characters",
    default=100,
    show_default=True,
    type=click.IntRange(min=0),
    help="Drop chains whose reasoning is shorter.",
)
@click.option(
    "--longest-percentile",
    default=100.0,
    show_default=True,
    type=click.FloatRange(0, 100, min_open=True),
    help="Drop chains with more reasoning tokens than this percentile; 100 drops none.",
)
@click.option(
    "--batch-questions",
    default=64,
    show_default=True,
    type=click.IntRange(min=1),
    help="Questions whose responses are written together, and kept on disk together.",
)
@click.option(
    "--skip-bad",
    is_flag=True,
    help="Leave out and list questions that are too long for the model, instead of stopping.",
)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder of the run.")
def sample(out: Path, skip_bad: bool, **options: Any) -> None:
    """Let a teacher write chains for the questions of TASK, and keep the first right one of each.

    TASK is gsm8k, math, mmlu_pro, word_problems, or a plugin of another package (see tokimp plugins). SOURCE is a JSONL
    file or a hub id; by default the task's own. The folder of the run holds chains.jsonl, and beside it the wrong,
    unsplittable and dropped chains. Every finished batch is kept: the same command continues a run that
    was stopped.
    """
    from tokimp.cli.ask import ask
    from tokimp.cli.inputs import protect_inputs
    from tokimp.cli.progress_bar import progress_bar
    from tokimp.distillation.ask.sample import CHAINS, DROPPED, REPORT, UNSPLIT, WRONG
    from tokimp.distillation.ask.sample import sample as sample_chains
    from tokimp.distillation.ask.settings import settings_of
    from tokimp.storage.batch_log import NAME as BATCHES
    from tokimp.storage.overwriting import refuse_foreign

    made = (CHAINS, WRONG, UNSPLIT, DROPPED, REPORT)
    read = {"SOURCE": options["source"], "--model": options["model"]}
    protect_inputs([out / name for name in (*made, "run.json", BATCHES)], read, [options["task"]])
    refuse_foreign(out, made)
    executor = executor_of(options)
    before_work = asking_cost_check(estimate=options.pop("estimate"), yes=options.pop("yes"))
    skipped: list[SkippedRecord] | None = [] if skip_bad else None
    lengths = {name: options.pop(name) for name in ("min_characters", "longest_percentile")}
    names = ("n", "temperature", "per_round", "max_new_tokens", "batch_questions")
    asking = {"seed": options["seed"], **{name: options.pop(name) for name in names}}
    laid_out = {name: options[name] for name in ("prompt_format", "think_tags")}
    with executor, progress_bar("sampling") as progress:
        settings = partial(settings_of, **asking)
        task, questions, teacher = ask(settings=settings, skip_bad=skip_bad, executor=executor, **options)
        report = sample_chains(
            task,
            questions,
            teacher,
            out,
            skipped=skipped,
            # The seed is among the settings: the sampling itself uses it.
            origin={name: options[name] for name in ("source", "split", "limit")},
            executor=executor,
            before_work=before_work,
            progress=progress,
            **asking,
            **lengths,
            **laid_out,
        )
    for record in skipped or []:
        echo_left_out(record.reason)
    _print(report)
    echo(f"chains: {out / CHAINS}")


def _print(report: SampleReport) -> None:
    not_known = f"{report.not_known} not known to be either, " if report.not_known else ""
    echo(
        f"{report.task} by {report.teacher}: {report.sampled} responses to {report.questions} questions; "
        f"{report.right} right, {report.wrong} wrong, {not_known}{report.unsplittable} without an answer, "
        f"{report.duplicates} repeat another"
    )
    dropped = report.dropped_short + report.dropped_long + report.dropped_unstorable
    length = (
        "" if report.reasoning_tokens is None else f", of {report.reasoning_tokens:.1f} reasoning tokens on average"
    )
    echo(
        f"{report.questions_right} questions have a right response; {report.kept} chains kept{length}; "
        f"{dropped} dropped ({report.dropped_short} short, {report.dropped_long} long)"
    )
