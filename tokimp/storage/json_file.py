"""Reading a JSON file that may be damaged, or made to do harm."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_json(path: Path) -> Any:
    """Return what a JSON file holds.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is no JSON in UTF-8, or lists and objects lie too deep in each other.
    """
    return parse_json(path.read_text(encoding="utf-8"))


def parse_json(text: str | bytes) -> Any:
    """Return what a JSON text holds; raise `ValueError` if it is none, or too deep to be read."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("lists and objects lie too deep in each other") from None
