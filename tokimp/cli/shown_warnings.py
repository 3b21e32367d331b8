"""tokimp's own warnings on the command line, where those of the libraries below it are silent."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tokimp.cli.lines import echo
from tokimp.errors import TokimpWarning


@contextmanager
def warnings_shown() -> Iterator[None]:
    """Write each warning of tokimp as one line on standard error while the block runs; others as they were."""
    usual = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *place: Any, **source: Any) -> None:
        if issubclass(category, TokimpWarning):
            echo(f"warning: {message}", err=True)
        else:
            usual(message, category, *place, **source)

    with warnings.catch_warnings():
        warnings.simplefilter("always", TokimpWarning)
        warnings.showwarning = show
        yield
