"""Parameters that can be read back and checked: what all plugins except scorers share."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from tokimp.contracts.constraints import Constraint
from tokimp.errors import TokimpError


class Parameterized:
    """A class whose ``__init__`` only stores its parameters, each under its own name (scikit-learn's habit).

    An instance can therefore be described, compared and stored by its parameters, and asked for by name:
    ``greedy:keep_ratio=0.5``. Which values are allowed is declared in `constraints` and checked before any work starts,
    not in ``__init__``.

    Attributes
    ----------
    name
        What it is called.
    constraints
        Which values a parameter may have, by the parameter's name; one that is not named here may have any value.

    Examples
    --------
    >>> from tokimp.contracts.constraints import Number, OneOf
    >>> class Blur(Parameterized):
    ...     name = "blur"
    ...     constraints = {"width": Number(above=0), "shape": OneOf("flat", "round")}
    ...
    ...     def __init__(self, width=1.0, shape="flat"):
    ...         self.width = width
    ...         self.shape = shape
    >>> Blur(shape="round").label
    'blur:shape=round'
    >>> Blur(width=-2).validate_parameters()
    Traceback (most recent call last):
    tokimp.errors.TokimpError: blur: width=-2 is not allowed; give a number above 0
    """

    name: ClassVar[str]
    constraints: ClassVar[Mapping[str, Constraint]] = MappingProxyType({})
    _error: ClassVar[type[TokimpError]] = TokimpError  # what its own mistakes are raised as

    def validate_parameters(self) -> None:
        """Raise `invalid_parameter` for the first parameter whose value its constraint does not allow.

        It is called before any work starts. A class with a rule about several parameters, or about files and packages,
        overrides it and calls ``super().validate_parameters()`` first.
        """
        # Without constraints nothing is read: an objective need not have stored what it was built with.
        parameters = self.parameters() if self.constraints else {}
        for parameter, constraint in self.constraints.items():
            if parameter not in parameters:
                known = ", ".join(parameters) or "none"
                raise self._error(
                    f"{type(self).__name__}.constraints names {parameter!r}, which is no parameter of __init__; "
                    f"those are: {known}"
                )
            if not constraint.allows(parameters[parameter]):
                raise self.invalid_parameter(parameter, str(constraint))

    def invalid_parameter(self, parameter: str, allowed: str) -> TokimpError:
        """Return the error that names a parameter, its value, and what is `allowed` instead."""
        return self._error(f"{self.name}: {parameter}={getattr(self, parameter)!r} is not allowed; give {allowed}")

    def parameters(self) -> dict[str, Any]:
        """Return the values of ``__init__``'s parameters, by name.

        Raises
        ------
        TokimpError
            If ``__init__`` does not store a parameter under its own name, or takes any number of them. Each contract
            raises its own subclass, such as `EstimatorError`.
        """
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

        `tokimp.contracts.specification` reads it back if JSON can write the parameters.
        """
        defaults = {name: p.default for name, p in inspect.signature(type(self)).parameters.items()}
        changed = [
            f"{name}={parameter_text(value)}"
            for name, value in self.parameters().items()
            if np.any(value != defaults[name])
        ]
        return f"{self.name}:{','.join(changed)}" if changed else self.name

    def __repr__(self) -> str:
        """Show the class and its parameters; ``...`` stands for one that ``__init__`` did not store."""
        names = inspect.signature(type(self)).parameters
        shown = [f"{name}={getattr(self, name)!r}" if hasattr(self, name) else f"{name}=..." for name in names]
        return f"{type(self).__name__}({', '.join(shown)})"

    def _repr_html_(self) -> str:
        """Return it as a notebook shows it: what it does, its parameters, and what they mean."""
        from tokimp.contracts.display import plugin_html  # noqa: PLC0415 - it reads parameters

        return plugin_html(self)


def parameter_text(value: Any) -> str:
    """Write a parameter's value as `tokimp.contracts.specification.parse_specification` reads it."""
    # The reader takes plain text up to a comma, and without white space around it.
    if isinstance(value, str) and "," not in value and value == value.strip():
        try:
            json.loads(value)
        except json.JSONDecodeError:
            return value
    try:
        return json.dumps(value, separators=(",", ":"), default=_python_scalar)
    except TypeError:
        return repr(value)


def _python_scalar(value: Any) -> Any:
    """Return numpy's scalar as Python's, and an array as a list, so that equal parameters alone give equal labels."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"JSON cannot write a {type(value).__name__}")
