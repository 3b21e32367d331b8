"""Parameters that can be read back: what estimators and analyses share."""

from __future__ import annotations

import inspect
import json
from typing import Any, ClassVar

import numpy as np

from tokimp.errors import TokimpError


class Parameterized:
    """A class whose ``__init__`` only stores its parameters, each under its own name (scikit-learn's habit).

    So an instance can be described, compared and stored by them, and asked for by name: ``greedy:keep_ratio=0.5``.

    Attributes
    ----------
    name
        What it is called.
    """

    name: ClassVar[str]
    _error: ClassVar[type[TokimpError]] = TokimpError  # what its own mistakes are raised as

    def validate_parameters(self) -> None:
        """Raise `invalid_parameter` if a parameter's value is not allowed; the default allows every value.

        It is called before any work starts, because ``__init__`` only stores.
        """

    def invalid_parameter(self, parameter: str, allowed: str) -> TokimpError:
        """Return the error that names a parameter, its value, and what is `allowed` instead."""
        return self._error(f"{self.name}: {parameter}={getattr(self, parameter)!r} is not allowed; give {allowed}")

    def parameters(self) -> dict[str, Any]:
        """Return the values of ``__init__``'s parameters, by name."""
        signature = inspect.signature(type(self))
        for name, parameter in signature.parameters.items():
            if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
                raise self._error(f"{type(self).__name__}.__init__ takes {parameter}; name every parameter instead")
            if not hasattr(self, name):
                raise self._error(f"{type(self).__name__}.__init__ must store its parameter {name!r} as self.{name}")
        return {name: getattr(self, name) for name in signature.parameters}

    @property
    def label(self) -> str:
        """The name, and those parameters that differ from their defaults: ``greedy:keep_ratio=0.5``.

        `tokimp.contracts.registry` reads it back where the parameters are such as JSON can write.
        """
        defaults = {name: p.default for name, p in inspect.signature(type(self)).parameters.items()}
        changed = [
            f"{name}={_parameter_text(value)}"
            for name, value in self.parameters().items()
            if np.any(value != defaults[name])
        ]
        return f"{self.name}:{','.join(changed)}" if changed else self.name

    def __repr__(self) -> str:
        """Show the class and its parameters."""
        shown = ", ".join(f"{name}={value!r}" for name, value in self.parameters().items())
        return f"{type(self).__name__}({shown})"


def _parameter_text(value: Any) -> str:
    """Write a parameter's value as `tokimp.contracts.registry.parse_specification` reads it."""
    # Of plain text the reader takes what stands up to a comma, without white space around it.
    if isinstance(value, str) and "," not in value and value == value.strip():
        try:
            json.loads(value)
        except json.JSONDecodeError:
            return value
    try:
        return json.dumps(value, separators=(",", ":"))
    except TypeError:
        return repr(value)
