"""A plugin and its parameters, named in one text: ``attention:layers=[0,1],query=last``."""

from __future__ import annotations

import json
import re
from typing import Any

from tokimp.errors import PluginError


def parse_specification(specification: str) -> tuple[str, dict[str, Any]]:
    """Split ``name:key=value,key=value`` into the name and its parameters.

    Values are JSON (numbers, ``true``, ``null``, lists in brackets); anything else is taken as text up to the next
    comma.

    Raises
    ------
    PluginError
        If the text after the name is no list of ``key=value``, or a key stands there twice.

    Examples
    --------
    >>> parse_specification("attention:layers=[0,1],query=last")
    ('attention', {'layers': [0, 1], 'query': 'last'})
    >>> parse_specification("my_package.module:Method:power=2")
    ('my_package.module:Method', {'power': 2})
    """
    name, *written = re.split(r":(?=[^:,=]*=)", specification, maxsplit=1)
    parameters: dict[str, Any] = {}
    rest = written[0] if written else None
    while rest is not None:
        key, equals, text = rest.partition("=")
        key = key.strip()
        if not equals or not key.isidentifier():
            raise PluginError(f"{specification!r}: {rest!r} is not of the form parameter=value")
        if key in parameters:
            raise PluginError(f"{specification!r}: the parameter {key!r} is given twice")
        parameters[key], rest = _split_value(text)
    return name, parameters


def _split_value(text: str) -> tuple[Any, str | None]:
    """Return the value that `text` begins with, and what follows its comma (``None`` where there is no comma)."""
    text = text.lstrip()
    try:
        value, end = json.JSONDecoder().raw_decode(text)
    except json.JSONDecodeError:
        end = -1
    following = text[end:].lstrip() if end >= 0 else "(no JSON)"
    if not following:
        return value, None
    if following.startswith(","):
        return value, following[1:]
    plain, comma, following = text.partition(",")
    return plain.rstrip(), following if comma else None
