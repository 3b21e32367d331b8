"""Say what a run will cost before it starts: on request, or as a question where it would take long."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from tokimp.cli.lines import echo

if TYPE_CHECKING:
    from rich.table import Table

    from tokimp.bench.forecast import RunCostForecast
    from tokimp.compare.pending import PendingCells
    from tokimp.contracts.executor import Executor

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
        Where the run computes. Only a model that is loaded in this process can be tried.
    estimate
        Whether to print what the run will cost, and end the command.
    yes
        Whether the person has said already that the run may take long.
    """
    is_here = executor is None or executor.here
    if estimate and not is_here:
        raise click.UsageError("--estimate tries the model in this process; leave out --workers and --executor")
    if estimate:
        return _print_and_stop
    # A question needs somebody who reads it and can answer.
    return _ask_if_long if is_here and _at_terminal() and not yes else None


def _at_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _print_and_stop(pending: PendingCells) -> None:
    from tokimp.bench.forecast import forecast_run
    from tokimp.report.terminal import console_for, print_whole

    table = _table(forecast_run(pending, budget=_TRIAL), pending)
    print_whole(console_for([table]), table)
    raise click.exceptions.Exit(0)


def _ask_if_long(pending: PendingCells) -> None:
    from tokimp.bench.forecast import forecast_run
    from tokimp.report.terminal import TerminalConsole, print_whole

    if not any(pending.of_estimator):
        return
    forecast = forecast_run(pending, budget=_SHORT_TRIAL)
    if forecast.seconds < _LONG:
        return
    print_whole(TerminalConsole(stderr=True), _table(forecast, pending))
    if not click.confirm(f"This takes about {_duration(forecast.seconds)}. Start it?", err=True):
        echo("not started; --limit takes fewer chains, --estimator other methods", err=True)
        raise click.exceptions.Exit(1)


def _table(forecast: RunCostForecast, pending: PendingCells) -> Table:
    from rich.markup import escape

    from tokimp.report.terminal import keep_words_whole, new_table

    table = new_table(f"What the run will cost, one chain after the other on {pending.scorer.device} (estimates)")
    table.add_column("estimator")
    for heading in ("cells", "positions", "time", "on disk", "tried on tokens"):
        table.add_column(heading, justify="right")
    for cost in forecast.estimators:
        table.add_row(
            escape(cost.label),
            f"{cost.cells:,}",
            f"{cost.positions:,.0f}",
            _duration(cost.seconds),
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
