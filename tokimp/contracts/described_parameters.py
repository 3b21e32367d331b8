"""What a plugin's parameters are: their defaults, the values they may have, and what its docstring says of them."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from typing import Any

from docstring_parser import DocstringStyle, ParseError, parse

from tokimp.contracts.parameters import parameter_text

_MARKS = re.compile(r"``([^`]*)``|:\w+:`([^`]*)`")


@dataclass(frozen=True, slots=True)
class DescribedParameter:
    """A parameter of a plugin.

    Attributes
    ----------
    name
        What it is called.
    default
        Its default as the command line takes it; ``None`` if it must be given.
    allowed
        Which values it may have, in words; empty if it declares none.
    meaning
        What the class says of it, on one line; empty if it says nothing.
    """

    name: str
    default: str | None
    allowed: str
    meaning: str


def described_parameters(plugin: type[Any]) -> list[DescribedParameter]:
    """Return the parameters of a plugin's class, in their order.

    Their meaning is read from the section "Parameters" (numpydoc) of the class, of a class that it inherits from, or of
    its ``__init__``, and what is allowed from the class's `constraints`.
    """
    meanings: dict[str, str] = {}
    for described in reversed(plugin.__mro__):
        meanings |= _meanings(described.__dict__.get("__doc__"))
    meanings = _meanings(inspect.getdoc(plugin.__init__)) | meanings
    constraints = getattr(plugin, "constraints", {})
    return [
        DescribedParameter(
            name,
            None if parameter.default is parameter.empty else parameter_text(parameter.default),
            str(constraints.get(name, "")),
            meanings.get(name, ""),
        )
        for name, parameter in inspect.signature(plugin).parameters.items()
    ]


def summary(plugin: type[Any]) -> str:
    """Return the first sentence of a class's docstring on one line; empty if it has none of its own."""
    return _one_line((plugin.__doc__ or "").strip().partition("\n\n")[0])


def _meanings(docstring: str | None) -> dict[str, str]:
    """Return what a docstring says of each parameter; several that are described together get the same text."""
    try:
        described = parse(inspect.cleandoc(docstring or ""), style=DocstringStyle.NUMPYDOC).params
    except ParseError:
        # A docstring in another style says nothing that can be found here.
        return {}
    return {
        name.strip().lstrip("*"): _one_line(entry.description or "")
        for entry in described
        for name in entry.arg_name.split(",")
    }


def _one_line(text: str) -> str:
    return " ".join(_MARKS.sub(lambda mark: mark[1] or mark[2] or "", text).split())
