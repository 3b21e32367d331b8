"""The bar that shows how far a run has come and how long the rest will take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich import progress as rich_progress
from rich.console import Console

from tokimp.contracts.progress import Progress
from tokimp.report.terminal import TerminalConsole


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "time left: not known yet"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"time left: {hours}:{minutes:02}:{rest:02}"


def _state(progress: Progress) -> str:
    """Return how long the rest takes and how fast it goes; and how many workers there are, and what was lost."""
    parts = [_duration(progress.seconds_left)]
    if progress.positions_per_second:
        parts.append(f"{progress.positions_per_second:,.0f} positions/s")
    if (progress.workers or 0) > 1 or progress.lost:
        parts.append(f"{progress.workers} workers")
    if progress.lost:
        parts.append(f"{progress.lost} lost")
    if progress.failed:
        parts.append(f"{progress.failed} failed")
    return ", ".join(parts)


@contextmanager
def progress_bar(doing: str) -> Iterator[Callable[[Progress], None]]:
    """Show a bar on standard error, and yield a function to call after each finished cell.

    If standard error is no terminal, a line is written at every tenth of the way instead.

    Parameters
    ----------
    doing
        What is under way: ``comparing``.
    """
    console = TerminalConsole(stderr=True)
    if not console.is_terminal:
        yield _lines(console, doing)
        return
    columns = (
        # An id is no markup: "[/]" is one.
        rich_progress.TextColumn("{task.description}", markup=False),
        rich_progress.BarColumn(),
        rich_progress.MofNCompleteColumn(),
        rich_progress.TimeElapsedColumn(),
        rich_progress.TextColumn("{task.fields[left]}"),
    )
    bar = rich_progress.Progress(*columns, console=console, transient=True)
    task = bar.add_task(doing, total=None, left="")

    def show(progress: Progress) -> None:
        # Not before there is something to show: the person at the terminal may be asked something first.
        bar.start()
        bar.update(
            task,
            description=f"{doing} {progress.chain_id} by {progress.estimator}",
            completed=progress.done,
            total=progress.total,
            left=_state(progress),
        )

    try:
        yield show
    finally:
        bar.stop()


def _lines(console: Console, doing: str) -> Callable[[Progress], None]:
    shown = -1

    def show(progress: Progress) -> None:
        nonlocal shown
        if progress.kept:
            # Cells of an earlier run are worth a line only if nothing else is left to do.
            if progress.done == progress.total:
                console.print(f"{doing}: {progress.total} of {progress.total} were done already", highlight=False)
            return
        tenth = 10 * progress.done // progress.total
        if tenth > shown:
            shown = tenth
            line = f"{doing}: {progress.done} of {progress.total} done, {_state(progress)}"
            console.print(line, highlight=False, soft_wrap=True)

    return show
