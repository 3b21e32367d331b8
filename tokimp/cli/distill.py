"""``tokimp distill``: teacher x pruner x method x keep ratio x student x seed, as one plan."""

from __future__ import annotations

from pathlib import Path

import click
from click.core import ParameterSource
from rich.markup import escape

from tokimp.cli.options import keep_to_one_thread
from tokimp.distillation.plan.file import naming
from tokimp.distillation.plan.plan import Plan
from tokimp.distillation.report import accuracy_tables, difference_table, length_table
from tokimp.distillation.steps.distill import Distillation, gather
from tokimp.distillation.steps.distill import distill as follow
from tokimp.distillation.steps.forecast import Amount, forecast
from tokimp.errors import DistillationError
from tokimp.models.source import TINY
from tokimp.report.terminal import console_for, keep_words_whole, new_table, print_whole


@click.command(epilog="docs/distillation.md says what stands in a plan, and what in DIR.")
@click.argument("plan", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the run.  [default: runs/ and the plan's name]",
)
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(min=1), help="Processes that work at once.")
@click.option("--estimate", is_flag=True, help="Say what the plan takes, and run nothing.")
@click.option(
    "--reasoning-tokens",
    default=150.0,
    show_default=True,
    type=click.FloatRange(min=1),
    help="Of --estimate: of a chain, where none are sampled yet; no more than a response may have.",
)
@click.option(
    "--question-tokens",
    default=100.0,
    show_default=True,
    type=click.FloatRange(min=1),
    help="Of --estimate: of a question, where they are not at hand.",
)
@click.option("--cell", metavar="NAME", help="Do this cell alone, with what it needs.")
@click.option("--redo", is_flag=True, help="Do the cell again, even if it is finished.")
def distill(
    *,
    plan: Path,
    out: Path | None,
    jobs: int,
    estimate: bool,
    reasoning_tokens: float,
    question_tokens: float,
    cell: str | None,
    redo: bool,
) -> None:
    """Compare methods of pruning by what students learn of the chains they shortened, as PLAN (YAML) says.

    Chains are sampled from teachers, ranked once by each method and cut to every keep ratio; students are trained on
    them and evaluated. Everything finished is kept in DIR: the same command continues a run that was killed, and a
    plan may be given more methods, ratios, seeds or models. Needs the extra 'distill'.
    """
    if redo and cell is None:
        raise click.UsageError("--redo is about one cell; name it with --cell")
    followed = Plan.load(plan)
    folder = out or Path("runs") / plan.stem
    if estimate:
        with naming(plan):
            amounts = forecast(followed, folder, reasoning_tokens=reasoning_tokens, question_tokens=question_tokens)
        _print_forecast(amounts)
        return
    if all(spec.model == TINY for spec in (*followed.teachers, *followed.pruners)):
        keep_to_one_thread(TINY)
    debug = click.get_current_context().get_parameter_source("debug") is ParameterSource.COMMANDLINE
    try:
        found = follow(
            plan, folder, jobs=jobs, only=cell, redo=redo, say=lambda line: click.echo(line, err=True), quiet=not debug
        )
    except DistillationError:
        _print(gather(followed, folder), folder)
        raise
    _print(found, folder)


def _print(found: Distillation, folder: Path) -> None:
    if not len(found.cells):
        return
    tables = [*accuracy_tables(found.curves), length_table(found.curves)]
    if len(found.differences):
        tables.append(difference_table(found.differences))
    console = console_for(tables)
    for table in tables:
        print_whole(console, table)
    if found.missing:
        click.echo(f"{len(found.missing)} cells are missing, {found.missing[0]} first")
    click.echo(f"\nresult: {folder / 'results.json'}, cells.csv, curves.csv, differences.csv, curves.png, curves.svg")


def _print_forecast(amounts: list[Amount]) -> None:
    table = new_table("What the plan takes (estimates, before anything runs)")
    for heading in ("what", "whose"):
        table.add_column(heading)
    table.add_column("number", justify="right")
    table.add_column("how it is counted")
    for amount in amounts:
        table.add_row(escape(amount.what), escape(amount.whose), f"{amount.number:,.0f}", escape(amount.how))
    print_whole(console_for([table]), keep_words_whole(table))
