"""Progress in a notebook: a bar below the cell, shown without being asked for."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tokimp.contracts.progress import Progress

Report = Callable[[Progress], None]


@contextmanager
def notebook_progress(doing: str, progress: Report | None) -> Iterator[Report | None]:
    """Yield what is called after each finished cell: what was given, or else, in a notebook, a bar.

    Outside notebooks nothing is shown unless the caller gives something: a script may have a display of its own, and
    the command line has. Nor is anything shown where the variable ``TQDM_DISABLE`` is set.

    Parameters
    ----------
    doing
        What is under way: ``comparing``.
    progress
        What the caller gave.
    """
    if progress is not None or not in_notebook():
        yield progress
        return
    with warnings.catch_warnings():
        # Without the package ipywidgets the bar is text, and says so every time.
        warnings.simplefilter("ignore")
        from tqdm.auto import tqdm  # noqa: PLC0415 - only notebooks need it

        # The library reads its variable once, when it is imported; here it counts whenever a bar is made.
        bar = tqdm(desc=doing, unit="cell", leave=False, disable=bool(os.environ.get("TQDM_DISABLE")))

    def show(state: Progress) -> None:
        bar.total = state.total
        bar.n = state.done
        failed = f", {state.failed} failed" if state.failed else ""
        bar.set_description(f"{doing}: {state.chain_id} by {state.estimator}{failed}")

    try:
        yield show
    finally:
        bar.close()


def in_notebook() -> bool:
    """Whether this process runs the cells of a notebook; the shell of IPython on a terminal is none."""
    # Whoever runs in a notebook has IPython loaded.
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None
