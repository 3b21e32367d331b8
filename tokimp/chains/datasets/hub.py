"""Rows of a data set on the Hugging Face hub, read through the ``datasets`` library."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tokimp.chains.datasets.records import Record
from tokimp.errors import ChainError

_HUB_ID = re.compile(r"\w[\w.-]*/[\w.-]+(?::[\w.-]+)?")


def is_hub_id(source: str) -> bool:
    """Whether a text has the form ``owner/name`` or ``owner/name:configuration``."""
    return _HUB_ID.fullmatch(source) is not None


def hub_records(source: str, split: str) -> Iterator[Record]:
    """Yield the rows of a data set's split; ``where`` is ``owner/name[split]:row``, rows counted from 1.

    Raises
    ------
    ChainError
        If the library cannot give the data set: no network, no such data set, configuration or split.
    """
    import datasets  # noqa: PLC0415 - the library takes seconds to load, and most chains come from files

    name, _, configuration = source.partition(":")
    rows: Any
    try:
        rows = datasets.load_dataset(name, configuration or None, split=split)
    # The library passes on errors of several layers (network, cache, parsing). All mean that there are no rows.
    except Exception as error:
        raise ChainError(
            f"{source}[{split}]: the data set cannot be read from the hub ({type(error).__name__}: {error}); check the "
            "name, the configuration (owner/name:configuration), the split and the network, or save it as JSONL where "
            "there is a network and give that file's path"
        ) from error
    for number, row in enumerate(rows, start=1):
        yield Record(f"{source}[{split}]:{number}", row)
