"""JSON that a file can hold, and reading a JSON file that may be damaged, or made to do harm."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokimp.storage.digests import json_digest

_KIND = "sha256:"


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


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object that a file holds, without the digest that it was written with.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it holds no JSON object, or one that was changed since. A file without a digest, such as tokimp 0.1.0 wrote,
        is taken as it is.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise ValueError("it holds no JSON object")  # noqa: TRY004 - damage of every kind is a ValueError
    digest = content.pop("digest", None)
    # A digest under another key is one whose key was damaged.
    is_elsewhere = any(isinstance(value, str) and value.startswith(_KIND) for value in content.values())
    if is_elsewhere or digest not in {None, _KIND + json_digest(content)}:
        raise ValueError("it does not have the digest that it was written with")
    return content


def with_digest(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON object with the digest that `read_object` checks."""
    # As it will be read: keys become texts, tuples become lists.
    as_read: dict[str, Any] = json.loads(json.dumps(content))
    return {**as_read, "digest": _KIND + json_digest(as_read)}


def json_text(content: Any, *, indent: int | None = None) -> str:
    """Return something as JSON that UTF-8 can hold: characters as they are, unless half a surrogate pair is among them.

    Parameters
    ----------
    content, indent
        As of `json.dumps`.
    """
    text = json.dumps(content, indent=indent, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(content, indent=indent)
    return text


def parse_json(text: str | bytes) -> Any:
    """Return what a JSON text holds; raise `ValueError` if it is none, or too deep to be read."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("lists and objects lie too deep in each other") from None
