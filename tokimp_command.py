"""The command ``tokimp``, from its first moment on: interrupted while it loads, it ends in one line too.

This stands beside the package, not in it: importing any part of `tokimp` loads torch and more, which takes seconds.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Load the command line and run it; exit statuses are those of `tokimp.cli.main.main`."""
    try:
        from tokimp.cli.main import main as run  # noqa: PLC0415 - what may be interrupted is this import
    except KeyboardInterrupt:
        if "--debug" in sys.argv[1:]:
            raise
        sys.stderr.write("tokimp: interrupted before it began\n")
        sys.exit(1)
    run()
