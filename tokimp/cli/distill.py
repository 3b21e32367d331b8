"""``tokimp distill``: teacher x pruner x method x keep ratio x student x seed, as one plan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tokimp.cli.cost import cost_options, plan_cost_check
from tokimp.cli.executor_options import executor_of, executor_options
from tokimp.cli.lines import echo
from tokimp.cli.options import typed

if TYPE_CHECKING:
    from tokimp.distillation.plan.plan import Plan
    from tokimp.distillation.steps.distill import Distillation


WRITTEN = ("results.json", "cells.csv", "curves.csv", "differences.csv", "curves.png", "curves.svg")


@click.command(epilog="docs/distillation.md says what a plan may contain, and what the folder of the run holds.")
@click.argument("plan", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the run.  [default: runs/ and the plan's name]",
)
@executor_options
@cost_options
@click.option(
    "--no-trial",
    is_flag=True,
    help="With --estimate: load no model, and say no times. (Models that are not here are never fetched for an "
    "estimate.)",
)
@click.option(
    "--reasoning-tokens",
    default=150.0,
    show_default=True,
    type=click.FloatRange(min=1),
    help="With --estimate: tokens of a chain's reasoning, where no chains are sampled yet; at most what a response "
    "may have.",
)
@click.option(
    "--question-tokens",
    default=100.0,
    show_default=True,
    type=click.FloatRange(min=1),
    help="With --estimate: tokens of a question, where the questions are not at hand.",
)
@click.option("--cell", metavar="NAME", help="Do only this student cell, and what it needs.")
@click.option("--redo", is_flag=True, help="Do the cell again, even if it is finished.")
def distill(
    *,
    plan: Path,
    out: Path | None,
    estimate: bool,
    yes: bool,
    no_trial: bool,
    reasoning_tokens: float,
    question_tokens: float,
    cell: str | None,
    redo: bool,
    **options: Any,
) -> None:
    """Compare methods of pruning by what students learn from the shortened chains, as PLAN (YAML) says.

    Chains are sampled from teachers, ranked once by each method and cut to every keep ratio; students are trained on
    them and evaluated. What is finished is kept in the folder of the run: the same command continues a run that was
    stopped. A plan may be given more methods, ratios, seeds or models later. Needs the extra 'distill'.
    """
    if redo and cell is None:
        raise click.UsageError("--redo is about one cell; name it with --cell")
    about_estimates = typed({"no_trial", "reasoning_tokens", "question_tokens"})
    if about_estimates and not estimate:
        raise click.UsageError(f"{', '.join(about_estimates)}: about estimates; add --estimate, or leave it out")
    from tokimp.cli.inputs import protect_inputs
    from tokimp.cli.model_preparation import keep_to_one_thread
    from tokimp.distillation.plan.plan import Plan
    from tokimp.distillation.plan.reader import naming
    from tokimp.distillation.steps.cost import PlanAssumptions
    from tokimp.distillation.steps.distill import distill as follow
    from tokimp.distillation.steps.distill import gather, left_of
    from tokimp.errors import DistillationError
    from tokimp.models.source import TINY
    from tokimp.storage.overwriting import refuse_foreign

    executor = executor_of(options)
    followed = Plan.load(plan)
    folder = out or Path("runs") / plan.stem
    if estimate:
        assumed = PlanAssumptions(reasoning_tokens, question_tokens, tries=not no_trial, fetches=False)
        check = plan_cost_check(estimate=True, yes=yes, assumed=assumed)
        assert check is not None  # noqa: S101 - an estimate is always printed
        with naming(plan), executor as running:
            check(left_of(followed, folder, running, only=cell, redo=redo))
        # The check has ended the command; without this line, one that came back would let the plan begin.
        return
    written = [folder / name for name in WRITTEN]
    specifications = [followed.task, *(method.estimator for method in followed.methods)]
    protect_inputs(written, {str(plan): plan, **_inputs(followed)}, specifications)
    refuse_foreign(folder, ["plan.yaml", *WRITTEN] if plan.resolve().parent != folder.resolve() else WRITTEN)
    if all(spec.model == TINY for spec in (*followed.teachers, *followed.pruners)):
        keep_to_one_thread(TINY)
    try:
        distillation = follow(
            plan,
            folder,
            executor=executor,
            only=cell,
            redo=redo,
            before_work=plan_cost_check(estimate=False, yes=yes),
            say=lambda line: echo(line, err=True),
            quiet=not typed({"debug"}),
        )
    except DistillationError:
        # Some cells failed: show what the others came to before saying so.
        _print(gather(followed, folder), folder)
        raise
    _print(distillation, folder)


def _inputs(plan: Plan) -> dict[str, str | None]:
    """Return what a plan reads, by what it is called there."""
    models = {f"{spec.name} of the plan": spec.model for spec in (*plan.teachers, *plan.pruners, *plan.students)}
    return {**models, "questions of the plan": plan.questions.source, "test of the plan": plan.test.source}


def _print(distillation: Distillation, folder: Path) -> None:
    from tokimp.distillation.report import accuracy_tables, difference_table, length_table
    from tokimp.report.terminal import console_for, print_whole

    if not len(distillation.cells):
        return
    tables = [*accuracy_tables(distillation.curves), length_table(distillation.curves)]
    if len(distillation.differences):
        tables.append(difference_table(distillation.differences))
    console = console_for(tables)
    for table in tables:
        print_whole(console, table)
    if distillation.missing:
        echo(f"{len(distillation.missing)} cells are missing, {distillation.missing[0]} first")
    echo(f"\nresult: {folder / 'results.json'}, cells.csv, curves.csv, differences.csv, curves.png, curves.svg")
