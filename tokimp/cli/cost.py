"""Say what a run will cost before it starts: on request, or as a question where it would take long."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from tokimp.cli.lines import echo

if TYPE_CHECKING:
    from rich.table import Table

    from tokimp.analysis.elsewhere import Elsewhere
    from tokimp.bench.forecast import RunCostForecast
    from tokimp.bench.piece_forecast import PieceForecast
    from tokimp.compare.pending import PendingCells
    from tokimp.contracts.executor import Executor
    from tokimp.distillation.ask.cost import PendingBatches
    from tokimp.distillation.steps.cost import PendingPlan

_LONG = 600.0
"""Seconds from which on a run that is started at a terminal is asked for."""
_TRIAL, _SHORT_TRIAL = 5.0, 2.0
_GIGABYTE = 1e9


def cost_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options ``--estimate`` and ``--yes``."""
    estimate = click.option(
        "--estimate",
        is_flag=True,
        help="Say what the run will cost (positions, time, memory, disk; from a trial of some seconds), and stop.",
    )
    yes = click.option(
        "--yes", is_flag=True, help="Start at once, also what would take more than ten minutes, without a question."
    )
    return estimate(yes(function))


def cost_check(executor: Executor | None, *, estimate: bool, yes: bool) -> Callable[[PendingCells], None] | None:
    """Return what is to be called with the cells of a run before it starts; ``None`` if it may just start.

    Parameters
    ----------
    executor
        Where the run computes, and where a trial is made; here by default.
    estimate
        Whether to print what the run will cost, and end the command.
    yes
        Whether the person has said already that the run may take long.
    """

    def forecast(pending: PendingCells, budget: float) -> RunCostForecast | None:
        from tokimp.bench.forecast import forecast_run, forecast_run_by

        if not estimate and not any(pending.of_estimator):
            return None
        if executor is None:
            return forecast_run(pending, budget=budget)
        return forecast_run_by(executor, pending, budget)

    def said(pending: PendingCells, found: RunCostForecast) -> tuple[Table, float]:
        return _table(found, pending), found.seconds

    return _check(forecast, said, "--limit takes fewer chains, --estimator other methods", estimate=estimate, yes=yes)


def analysis_cost_check(*, estimate: bool, yes: bool) -> Callable[[Elsewhere], None] | None:
    """Return what is to be called with the chains of an analysis before it starts, as `cost_check` does."""

    def forecast(pending: Elsewhere, budget: float) -> PieceForecast | None:
        from tokimp.bench.piece_forecast import forecast_analysis

        return forecast_analysis(pending, budget=budget)

    return _check(forecast, _said_of_pieces, "--executor and --workers spread it", estimate=estimate, yes=yes)


def asking_cost_check(*, estimate: bool, yes: bool) -> Callable[[PendingBatches], None] | None:
    """Return what is to be called with the questions to a model before it is asked, as `cost_check` does."""

    def forecast(pending: PendingBatches, budget: float) -> PieceForecast | None:
        from tokimp.distillation.ask.cost import forecast_batches

        return forecast_batches(pending, budget=budget)

    return _check(forecast, _said_of_pieces, "--limit takes fewer questions", estimate=estimate, yes=yes)


def plan_cost_check(*, yes: bool) -> Callable[[PendingPlan], None] | None:
    """Return what is to be called with what is left of a plan before it goes on, as `cost_check` does."""

    def forecast(pending: PendingPlan, _budget: float) -> PieceForecast | None:
        from tokimp.distillation.steps.cost import forecast_plan

        return forecast_plan(pending)

    return _check(forecast, _said_of_pieces, "--executor and --workers spread it", estimate=False, yes=yes)


def _check(
    forecast: Callable[[Any, float], Any],
    said: Callable[[Any, Any], tuple[Table, float]],
    remedy: str,
    *,
    estimate: bool,
    yes: bool,
) -> Callable[[Any], None] | None:
    """Return what prints a forecast and stops, or asks if it is long, or ``None`` if nobody is to be asked.

    Parameters
    ----------
    forecast
        Makes a forecast of what is to be done within some seconds; ``None`` if there is nothing to try.
    said
        Returns the table of a forecast, and its seconds.
    remedy
        What makes it shorter.
    """
    if estimate:
        return partial(_print_and_stop, forecast, said)
    # A question needs somebody who reads it and can answer.
    return partial(_ask_if_long, forecast, said, remedy) if _at_terminal() and not yes else None


def _at_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _print_and_stop(
    forecast: Callable[[Any, float], Any], said: Callable[[Any, Any], tuple[Table, float]], pending: Any
) -> None:
    from tokimp.report.terminal import console_for, print_whole

    found = forecast(pending, _TRIAL)
    if found is None:
        echo("nothing is left to ask, or it is not asked chain by chain, so there is nothing to try")
    else:
        table, _ = said(pending, found)
        print_whole(console_for([table]), table)
    raise click.exceptions.Exit(0)


def _ask_if_long(
    forecast: Callable[[Any, float], Any],
    said: Callable[[Any, Any], tuple[Table, float]],
    remedy: str,
    pending: Any,
) -> None:
    from tokimp.report.terminal import TerminalConsole, print_whole

    found = forecast(pending, _SHORT_TRIAL)
    if found is None:
        return
    table, seconds = said(pending, found)
    if seconds < _LONG:
        return
    print_whole(TerminalConsole(stderr=True), table)
    if not click.confirm(f"This takes about {_duration(seconds)}. Start it?", err=True):
        echo(f"not started; {remedy}", err=True)
        raise click.exceptions.Exit(1)


def _said_of_pieces(_pending: Any, found: PieceForecast) -> tuple[Table, float]:
    from rich.markup import escape

    from tokimp.report.terminal import keep_words_whole, new_table

    table = new_table(f"What this will cost, {_by(found.workers)} (estimates)")
    for heading in ("what", "how many", "positions", "time", "tried on"):
        table.add_column(heading, justify="left" if heading in {"what", "tried on"} else "right")
    positions = f"{found.positions:,.0f}"
    table.add_row(escape(found.what), f"{found.pieces:,}", positions, _duration(found.total_seconds), found.tried)
    return keep_words_whole(table), found.total_seconds


def _by(workers: int) -> str:
    return "one after the other" if workers == 1 else f"by {workers} workers at once"


def _table(forecast: RunCostForecast, pending: PendingCells) -> Table:
    from rich.markup import escape

    from tokimp.report.terminal import keep_words_whole, new_table

    table = new_table(f"What the run will cost, {_by(forecast.workers)} on {pending.scorer.device} (estimates)")
    table.add_column("estimator")
    for heading in ("cells", "positions", "time", "on disk", "tried on tokens"):
        table.add_column(heading, justify="right")
    for cost in forecast.estimators:
        table.add_row(
            escape(cost.label),
            f"{cost.cells:,}",
            f"{cost.positions:,.0f}",
            _duration(cost.seconds / forecast.workers),
            _size(cost.bytes_on_disk),
            str(cost.tried or "-"),
        )
    table.add_section()
    table.add_row(
        "all, with results.nc",
        f"{sum(cost.cells for cost in forecast.estimators):,}",
        f"{sum(cost.positions for cost in forecast.estimators):,.0f}",
        _duration(forecast.seconds),
        _size(forecast.bytes_on_disk),
        "",
    )
    finished = len(pending.chains) * len(pending.estimators) - sum(map(len, pending.of_estimator))
    lines = [f"memory: {_size(forecast.memory)} in the trial, with the weights; longer chains may take more"]
    if finished:
        lines.append(f"{finished:,} cells are finished already and are not counted")
    table.caption = "\n".join(lines)
    return keep_words_whole(table)


def _duration(seconds: float) -> str:
    """Return a time as a person would say it: ``3 s``, ``12 min``, ``5.5 h``, ``3.2 days``."""
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    hours = seconds / 3600
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} days"


def _size(count: float) -> str:
    return f"{count / _GIGABYTE:.2f} GB" if count >= _GIGABYTE / 10 else f"{count / 1e6:.1f} MB"
