"""Where tokimp keeps what it would otherwise fetch or ask for again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return where such things are kept: ``$TOKIMP_CACHE``, else ``tokimp`` in the user's cache folder."""
    if chosen := os.environ.get("TOKIMP_CACHE"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser() / "tokimp"
