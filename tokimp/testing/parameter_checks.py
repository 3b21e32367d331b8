"""What holds of every class with parameters: how it is named, built, described and checked."""

from __future__ import annotations

import inspect
import re
from typing import Any, TypeVar

from tokimp.contracts.parameters import Parameterized
from tokimp.contracts.scorer import Capability
from tokimp.errors import TokimpError

P = TypeVar("P", bound=Parameterized)


def expect(holds: bool, message: str) -> None:
    """Raise `AssertionError` with a message unless something holds."""
    # No assert statement: python -O would turn the whole check into nothing.
    if not holds:
        raise AssertionError(message)


def built(plugin: P | type[P], base: type[Any], check: str) -> P:
    """Return an instance of a plugin that is given as an instance, or as a class that needs no parameters.

    Parameters
    ----------
    plugin
        The instance or the class.
    base
        The contract that it has to subclass.
    check
        The name of the check it is given to, for messages.
    """
    if not isinstance(plugin, type):
        expect(isinstance(plugin, base), f"{plugin!r} is neither an instance nor a subclass of {base.__name__}")
        return plugin
    expect(issubclass(plugin, base), f"{plugin.__name__} does not subclass {base.__name__}")
    abstract = ", ".join(sorted(getattr(plugin, "__abstractmethods__", ())))
    expect(not abstract, f"{plugin.__name__} does not define {abstract}")
    required = [p.name for p in _parameters(plugin).values() if p.default is p.empty]
    expect(not required, f"{plugin.__name__} needs {', '.join(required)}: give {check} an instance")
    return plugin()


def check_parameters(instance: Parameterized) -> None:
    """Raise `AssertionError` unless a plugin has a name, stores its parameters as given and allows those it has.

    Checked is also that each of its constraints is about a parameter, and that its label names it.
    """
    cls = type(instance)
    name = getattr(cls, "name", None)
    expect(
        isinstance(name, str) and re.fullmatch(r"[^\s:,=]+", name) is not None,
        f"{cls.__name__}.name must be a text that is not empty and holds no space : , or =; it is {name!r}",
    )
    parameters = _parameters(cls)
    unknown = sorted(set(cls.constraints) - set(parameters))
    expect(
        not unknown,
        f"{name}: constraints name {', '.join(unknown)}, but __init__ has {', '.join(parameters) or 'no parameters'}",
    )
    # Values of no known type: an __init__ that does more than store stumbles over them.
    values = {parameter: object() for parameter in parameters}
    try:
        stored_in = cls(**values)
    except Exception as error:
        raise AssertionError(
            f"{name}: __init__ must only store its parameters, but raised {type(error).__name__}: {error}; "
            "declare in constraints which values are allowed"
        ) from error
    for parameter, value in values.items():
        stored = getattr(stored_in, parameter, "nothing of that name")
        expect(stored is value, f"{name}: __init__ must store {parameter} as given, in self.{parameter}")
    try:
        instance.validate_parameters()
    except TokimpError as error:
        raise AssertionError(str(error)) from error
    label = instance.label
    expect(label == name or label.startswith(f"{name}:"), f"{name}: the label {label!r} must begin with the name")
    again = cls(**instance.parameters()).label
    expect(again == label, f"{name}: equal parameters must give equal labels, not {label!r} and {again!r}")


def check_requires(name: str, requires: Any) -> None:
    """Raise `AssertionError` unless a plugin's `requires` is a frozenset of capabilities."""
    expect(
        isinstance(requires, frozenset) and all(isinstance(capability, Capability) for capability in requires),
        f"{name}: requires must be a frozenset of members of Capability, not {requires!r}",
    )


def _parameters(cls: type[Parameterized]) -> dict[str, inspect.Parameter]:
    """Return the parameters of ``__init__`` by name, each of which must have one."""
    parameters = dict(inspect.signature(cls).parameters)
    for parameter in parameters.values():
        unnamed = parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}
        expect(not unnamed, f"{cls.__name__}.__init__ takes {parameter}; name every parameter instead")
    return parameters
