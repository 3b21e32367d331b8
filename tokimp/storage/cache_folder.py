"""The folder for what tokimp would otherwise download or ask for again."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path


def cache_folder() -> Path:
    """Return ``$TOKIMP_CACHE`` if it is set, else the folder that the system gives tokimp for its cache.

    On Linux that is ``$XDG_CACHE_HOME/tokimp``, or ``~/.cache/tokimp``. The folder is not made here.
    """
    if chosen := os.environ.get("TOKIMP_CACHE"):
        return Path(chosen).expanduser()
    return user_cache_path("tokimp", appauthor=False)
