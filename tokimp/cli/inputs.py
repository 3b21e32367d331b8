"""The files that a command reads: it never writes over one of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from tokimp.contracts.specification import parse_specification
from tokimp.errors import PluginError
from tokimp.storage.overwriting import Named, refuse_overwriting


def protect_inputs(written: Iterable[Path], read: Mapping[str, Named], specifications: Iterable[str] = ()) -> None:
    """Raise `TokimpError` if a command would write over something that it reads, by any spelling of its path.

    Parameters
    ----------
    written
        The files that the command makes or replaces, and the folders that it replaces as a whole.
    read
        What it reads, by what the user calls it: ``{"CHAINS": "chains.jsonl"}``.
    specifications
        The plugins that were named. A parameter may be the path of a file (``surrogate:path=FILE``), and so may the
        name itself (``my.py:Class``).
    """
    named = dict(read)
    for specification in specifications:
        try:
            plugin, parameters = parse_specification(specification)
        except PluginError:
            # Whoever loads the plugin says what is wrong with its name.
            continue
        named[specification] = plugin.rpartition(":")[0]
        for parameter, value in parameters.items():
            if isinstance(value, str) and value:
                named[f"{parameter!r} of {specification}"] = value
    refuse_overwriting(written, {what: source for what, source in named.items() if source})
