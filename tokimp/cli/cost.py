"""Say what a run will cost before it starts: on request, or as a question where it would take long."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tokimp.bench.work_forecast import PartCost
from tokimp.cli.lines import echo

if TYPE_CHECKING:
    from rich.table import Table

    from tokimp.analysis.elsewhere import Elsewhere
    from tokimp.audit.pending import PendingAudit
    from tokimp.audit.settings import LeaderboardSettings
    from tokimp.bench.work_forecast import WorkForecast
    from tokimp.compare.pending import PendingCells
    from tokimp.contracts.executor import Executor
    from tokimp.distillation.ask.cost import PendingBatches
    from tokimp.distillation.steps.cost import PendingPlan, PlanAssumptions

_LONG = 600.0
"""Seconds from which on a run that is started at a terminal is asked for."""
_TRIAL, _SHORT_TRIAL = 5.0, 2.0
_GIGABYTE = 1e9
_TEXTS = frozenset({"what", "whose", "how"})
_NOTHING = "nothing is left to do"
_FEWER_CHAINS = "--limit takes fewer chains, --changed-chains fewer under changed conditions"


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


def cost_check(
    executor: Executor | None, *, estimate: bool, yes: bool, keep_going: bool = False
) -> Callable[[PendingCells], None] | None:
    """Return what is to be called with the cells of a run before it starts; ``None`` if it may just start.

    Parameters
    ----------
    executor
        Where the run computes, and where a trial is made; here by default.
    estimate
        Whether to print what the run will cost, and end the command.
    yes
        Whether the person has said already that the run may take long.
    keep_going
        Whether the run goes on without cells that fail.
    """

    def forecast(pending: PendingCells, budget: float) -> WorkForecast | None:
        from tokimp.bench.forecast import forecast_run_by
        from tokimp.contracts.registry import load_executor

        if not estimate and not any(pending.of_estimator):
            return None
        return forecast_run_by(executor or load_executor("local"), pending, budget, keep_going=keep_going)

    def table(pending: PendingCells, found: WorkForecast) -> Table:
        finished = len(pending.chains) * len(pending.estimators) - sum(map(len, pending.of_estimator))
        notes = [f"{finished:,} cells are finished already and are not counted"] if finished else []
        title = f"What the run will cost, {_by(found.workers)} on {pending.scorer.device} (estimates)"
        return _table(found, title, {"what": "estimator", "pieces": "cells"}, whole="all, with results.nc", notes=notes)

    return _check(forecast, table, "--limit takes fewer chains, --estimator other methods", estimate=estimate, yes=yes)


def analysis_cost_check(*, estimate: bool, yes: bool) -> Callable[[Elsewhere], None] | None:
    """Return what is to be called with the chains of an analysis before it starts, as `cost_check` does."""

    def forecast(pending: Elsewhere, budget: float) -> WorkForecast | None:
        from tokimp.bench.analysis_forecast import forecast_analysis

        return forecast_analysis(pending, budget=budget)

    def table(_pending: Elsewhere, found: WorkForecast) -> Table:
        return _table(found, f"What this will cost, {_by(found.workers)} (estimates)", {})

    remedy = "--executor and --workers spread it"
    nothing = f"{_NOTHING}, or it is not asked chain by chain, so there is nothing to try"
    return _check(forecast, table, remedy, estimate=estimate, yes=yes, nothing=nothing)


def asking_cost_check(*, estimate: bool, yes: bool) -> Callable[[PendingBatches], None] | None:
    """Return what is to be called with the questions to a model before it is asked, as `cost_check` does."""

    def forecast(pending: PendingBatches, budget: float) -> WorkForecast | None:
        from tokimp.distillation.ask.cost import forecast_batches

        return forecast_batches(pending, budget=budget)

    def table(_pending: PendingBatches, found: WorkForecast) -> Table:
        title = f"What this will cost, {_by(found.workers)} (estimates)"
        return _table(found, title, {}, longer="longer responses")

    return _check(forecast, table, "--limit takes fewer questions", estimate=estimate, yes=yes)


def audit_cost_check(*, estimate: bool, yes: bool) -> Callable[[PendingAudit], None] | None:
    """Return what is to be called with what an audit has to do before it starts, as `cost_check` does."""

    def forecast(pending: PendingAudit, budget: float) -> WorkForecast | None:
        from tokimp.bench.audit_forecast import forecast_audit

        return forecast_audit(pending, budget=budget)

    return _check(forecast, _whole_table, _FEWER_CHAINS, estimate=estimate, yes=yes)


def leaderboard_cost_check(
    folder: Path, executor: Executor, *, estimate: bool, yes: bool
) -> Callable[[LeaderboardSettings], None] | None:
    """Return what is to be called with the settings of a leaderboard before it is made, as `cost_check` does."""

    def forecast(settings: LeaderboardSettings, budget: float) -> WorkForecast | None:
        from tokimp.bench.audit_forecast import forecast_leaderboard

        return forecast_leaderboard(settings, folder, executor=executor, budget=budget)

    def table(_settings: LeaderboardSettings, found: WorkForecast) -> Table:
        title = f"What the audits will cost, {_by(found.workers)} (estimates)"
        return _table(found, title, {"whose": "unit"}, whole="all, with results.nc")

    return _check(forecast, table, _FEWER_CHAINS, estimate=estimate, yes=yes)


def plan_cost_check(
    *, estimate: bool, yes: bool, assumed: PlanAssumptions | None = None
) -> Callable[[PendingPlan], None] | None:
    """Return what is to be called with what is left of a plan before it goes on, as `cost_check` does.

    Parameters
    ----------
    estimate, yes
        As of `cost_check`.
    assumed
        What is assumed of texts that are not there yet, and how models are tried.
    """

    def forecast(pending: PendingPlan, _budget: float) -> WorkForecast | None:
        from tokimp.distillation.steps.cost import forecast_plan

        return forecast_plan(pending, assumed)

    def table(_pending: PendingPlan, found: WorkForecast) -> Table:
        title = f"What the plan will cost, {_by(found.workers)} (estimates)"
        return _table(found, title, {"positions": "tokens", "how": "how it is counted"}, whole="all")

    return _check(forecast, table, "--executor and --workers spread it", estimate=estimate, yes=yes)


def _check(
    forecast: Callable[[Any, float], Any],
    table_of: Callable[[Any, Any], Table],
    remedy: str,
    *,
    estimate: bool,
    yes: bool,
    nothing: str = _NOTHING,
) -> Callable[[Any], None] | None:
    """Return what prints a forecast and stops, or asks if it is long, or ``None`` if nobody is to be asked.

    Parameters
    ----------
    forecast
        Makes a forecast of what is to be done within some seconds; ``None`` if there is nothing to try.
    table_of
        Returns the table of a forecast.
    remedy
        What makes it shorter.
    nothing
        What an estimate says if there is nothing to try.
    """
    if estimate:
        return partial(_print_and_stop, forecast, table_of, nothing)
    # A question needs somebody who reads it and can answer.
    return partial(_ask_if_long, forecast, table_of, remedy) if _at_terminal() and not yes else None


def _at_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _print_and_stop(
    forecast: Callable[[Any, float], WorkForecast | None],
    table_of: Callable[[Any, Any], Table],
    nothing: str,
    pending: Any,
) -> None:
    from tokimp.report.terminal import console_for, print_whole

    found = forecast(pending, _TRIAL)
    if found is None:
        echo(nothing)
    else:
        table = table_of(pending, found)
        print_whole(console_for([table]), table)
    raise click.exceptions.Exit(0)


def _ask_if_long(
    forecast: Callable[[Any, float], WorkForecast | None],
    table_of: Callable[[Any, Any], Table],
    remedy: str,
    pending: Any,
) -> None:
    from tokimp.report.terminal import TerminalConsole, print_whole

    found = forecast(pending, _SHORT_TRIAL)
    if found is None or found.seconds < _LONG:
        return
    print_whole(TerminalConsole(stderr=True), table_of(pending, found))
    if not click.confirm(f"This takes {_about(found)}. Start it?", err=True):
        echo(f"not started; {remedy}", err=True)
        raise click.exceptions.Exit(1)


def _whole_table(_pending: Any, found: WorkForecast) -> Table:
    title = f"What the audit will cost, {_by(found.workers)} (estimates)"
    return _table(found, title, {}, whole="all, with results.nc")


def _by(workers: int) -> str:
    return "one after the other" if workers == 1 else f"by {workers} workers at once"


def _table(
    found: WorkForecast,
    title: str,
    headings: Mapping[str, str],
    *,
    whole: str = "",
    longer: str = "longer chains",
    notes: Sequence[str] = (),
) -> Table:
    """Return a table with a row for each part, and below it what is known of all of them together.

    Parameters
    ----------
    found
        The forecast.
    title
        The title.
    headings
        Headings by column, where they are not the usual ones.
    whole
        What the last row is called, in which all parts are added up; there is none without a name.
    longer
        What may take more memory than the trial did.
    notes
        Further lines below the table.
    """
    from rich.markup import escape

    from tokimp.report.terminal import keep_words_whole, new_table

    parts = found.parts
    columns = {"what": headings.get("what", "what")}
    if any(part.whose for part in parts):
        columns["whose"] = headings.get("whose", "whose")
    columns |= {"pieces": headings.get("pieces", "how many"), "positions": headings.get("positions", "positions")}
    columns["time"] = "time"
    if any(part.memory for part in parts):
        columns["memory"] = "memory"
    columns |= {"disk": "on disk", "how": headings.get("how", "tried on")}
    table = new_table(title)
    for name, heading in columns.items():
        table.add_column(heading, justify="left" if name in _TEXTS else "right")

    def add(part: PartCost, seconds: str) -> None:
        cells = {
            "what": escape(part.what),
            "whose": escape(part.whose),
            "pieces": _count(part.pieces),
            "positions": _count(part.positions),
            "time": seconds,
            "memory": _size(part.memory),
            "disk": _size(part.bytes_on_disk),
            "how": escape(part.how) or "-",
        }
        table.add_row(*(cells[name] for name in columns))

    for part in parts:
        add(part, "-" if part.seconds is None else _duration(part.seconds / found.workers))
    if whole:
        table.add_section()
        pieces = sum(part.pieces or 0 for part in parts) if not any(part.whose for part in parts) else None
        peak = max((part.memory for part in parts if part.memory is not None), default=None)
        add(
            PartCost(whole, pieces, found.positions, found.seconds, found.bytes_on_disk, peak, how=" "),
            _about(found).removeprefix("about "),
        )
    lines = [*notes, *found.notes]
    if found.memory is not None:
        lines.insert(0, f"memory: {_size(found.memory)} in the trial, with the weights; {longer} may take more")
    table.caption = escape("\n".join(lines)) or None
    keep_words_whole(table)
    for name, column in zip(columns, table.columns, strict=True):
        if name not in _TEXTS:
            # A number and its unit stand on one line.
            column.min_width = max([column.min_width or 0, *(len(str(cell)) for cell in column.cells)])
    return table


def _about(found: WorkForecast) -> str:
    """Return the time of all parts; where one is not known, that it is more than the others'."""
    if found.knows_all_seconds:
        return f"about {_duration(found.seconds)}"
    return f"more than {_duration(found.seconds)}" if found.seconds else "-"


def _count(number: float | None) -> str:
    return "-" if number is None else f"{number:,.0f}"


def _duration(seconds: float) -> str:
    """Return a time as a person would say it: ``3 s``, ``12 min``, ``5.5 h``, ``3.2 days``."""
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    hours = seconds / 3600
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} days"


def _size(count: float | None) -> str:
    if count is None:
        return "-"
    if count >= _GIGABYTE / 10:
        return f"{count / _GIGABYTE:.2f} GB"
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.0f} kB"
