"""The bar that shows how far a run has come and how long the rest will take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tokimp.contracts.progress import Progress as Standing


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "time left: not known yet"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"time left: {hours}:{minutes:02}:{rest:02}"


@contextmanager
def progress_bar(doing: str) -> Iterator[Callable[[Standing], None]]:
    """Show a bar on stderr, and yield what is to be called after each finished cell.

    Where stderr is no terminal, a line is written at every tenth of the way instead.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines(console, doing)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(doing, total=None, left="")

        def show(standing: Standing) -> None:
            bar.update(
                task,
                description=f"{doing} {standing.chain_id} by {standing.estimator}",
                completed=standing.done,
                total=standing.total,
                left=_duration(standing.seconds_left),
            )

        yield show


def _lines(console: Console, doing: str) -> Callable[[Standing], None]:
    shown = -1

    def show(standing: Standing) -> None:
        nonlocal shown
        if standing.kept:
            # What an earlier run finished is news once, when it is all there is.
            if standing.done == standing.total:
                console.print(f"{doing}: {standing.total} of {standing.total} were done already", highlight=False)
            return
        tenth = 10 * standing.done // standing.total
        if tenth > shown:
            shown = tenth
            line = f"{doing}: {standing.done} of {standing.total} done, {_duration(standing.seconds_left)}"
            console.print(line, highlight=False, soft_wrap=True)

    return show
