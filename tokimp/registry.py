"""Names to plugins: entry points of installed packages, and classes registered in this process."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal, TypeVar

from tokimp.errors import PluginError
from tokimp.estimator import ImportanceEstimator
from tokimp.objective import Objective

Kind = Literal["scorers", "objectives", "estimators", "analyses"]
KINDS: tuple[Kind, ...] = ("scorers", "objectives", "estimators", "analyses")
T = TypeVar("T")

_in_process: dict[Kind, dict[str, Any]] = {kind: {} for kind in KINDS}


@dataclass(frozen=True, slots=True)
class Plugin:
    """A name that can be asked for, who offers it, and, where it failed to load, why.

    Attributes
    ----------
    kind, name
        What it is and what it is called.
    package
        The distribution that offers it; ``(this process)`` for a class registered by a decorator.
    target
        ``module:attribute``.
    loaded
        The class or function; ``None`` where loading failed.
    error
        Why loading failed; empty where it did not.
    """

    kind: Kind
    name: str
    package: str
    target: str
    loaded: Any = None
    error: str = ""


def _register(kind: Kind, name: str) -> Callable[[T], T]:
    def register(plugin: T) -> T:
        _in_process[kind][name] = plugin
        return plugin

    return register


def register_scorer(name: str) -> Callable[[T], T]:
    """Register a scorer class under `name` in this process (a package uses the entry point ``tokimp.scorers``)."""
    return _register("scorers", name)


def register_objective(name: str) -> Callable[[T], T]:
    """Register an objective class under `name` in this process (entry point: ``tokimp.objectives``)."""
    return _register("objectives", name)


def register_estimator(name: str) -> Callable[[T], T]:
    """Register an estimator class under `name` in this process (entry point: ``tokimp.estimators``)."""
    return _register("estimators", name)


def register_analysis(name: str) -> Callable[[T], T]:
    """Register an analysis function under `name` in this process (entry point: ``tokimp.analyses``)."""
    return _register("analyses", name)


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else "(unknown package)"


def _entries(kind: Kind) -> dict[str, list[EntryPoint]]:
    found: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=f"tokimp.{kind}"):
        offers = found.setdefault(entry.name, [])
        # A package installed twice (an editable install over a plain one) is met twice; it makes one claim.
        if all((_package(entry), entry.value) != (_package(other), other.value) for other in offers):
            offers.append(entry)
    return found


def names(kind: Kind) -> list[str]:
    """Return every name of a kind that can be asked for, sorted."""
    return sorted({*_entries(kind), *_in_process[kind]})


def load(kind: Kind, name: str) -> Any:
    """Return the class or function registered under `name`, or named by ``package.module:attribute``.

    Raises
    ------
    PluginError
        If the name is unknown (the message lists the known ones), claimed by two packages, or fails to load.
    """
    if name in _in_process[kind]:
        return _in_process[kind][name]
    offers = _entries(kind).get(name, [])
    if len(offers) > 1:
        claims = " and ".join(f"{_package(entry)} ({entry.value})" for entry in offers)
        raise PluginError(f"{kind[:-1]} {name!r} is claimed by {claims}; uninstall one, or name module:Class instead")
    if offers:
        return _load_target(kind, name, offers[0].value, _package(offers[0]))
    if re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*", name):
        return _load_target(kind, name, name, "")
    raise PluginError(f"there is no {kind[:-1]} named {name!r}; known are {', '.join(names(kind)) or 'none'}")


def _load_target(kind: Kind, name: str, target: str, package: str) -> Any:
    module, _, attribute = target.partition(":")
    try:
        loaded: Any = importlib.import_module(module)
        for part in attribute.split("."):
            loaded = getattr(loaded, part)
    # A plugin's module is a stranger's code: whatever it raises becomes one clear message.
    except Exception as error:
        origin = f" of package {package}" if package else ""
        reason = f"{type(error).__name__}: {error}"
        raise PluginError(f"{kind[:-1]} {name!r}{origin} failed to load from {target}: {reason}") from error
    return loaded


def plugins(kind: Kind) -> list[Plugin]:
    """Return every plugin of a kind, loaded; one that fails to load carries its reason, and the rest goes on."""
    found = []
    for name, offers in _entries(kind).items():
        for entry in offers:
            try:
                loaded, error = load(kind, name) if len(offers) > 1 else _load_target(
                    kind, name, entry.value, _package(entry)
                ), ""
            except PluginError as failure:
                loaded, error = None, str(failure)
            found.append(Plugin(kind, name, _package(entry), entry.value, loaded, error))
    for name, loaded in _in_process[kind].items():
        target = f"{loaded.__module__}:{loaded.__qualname__}"
        found.append(Plugin(kind, name, "(this process)", target, loaded))
    return sorted(found, key=lambda plugin: plugin.name)


def parse_specification(specification: str) -> tuple[str, dict[str, Any]]:
    """Split ``name:key=value,key=value`` into the name and its parameters.

    Values are JSON (numbers, ``true``, ``null``, lists in brackets); anything else is taken as text.

    Examples
    --------
    >>> parse_specification("attention:layers=[0,1],query=last")
    ('attention', {'layers': [0, 1], 'query': 'last'})
    >>> parse_specification("my_package.module:Method:power=2")
    ('my_package.module:Method', {'power': 2})
    """
    head, separator, tail = specification.rpartition(":")
    if not separator or "=" not in tail:
        return specification, {}
    parameters: dict[str, Any] = {}
    for part in re.split(r",(?![^\[]*\])", tail):
        key, equals, text = part.partition("=")
        if not equals or not key.strip():
            raise PluginError(f"{specification!r}: {part!r} is not of the form parameter=value")
        try:
            parameters[key.strip()] = json.loads(text)
        except json.JSONDecodeError:
            parameters[key.strip()] = text
    return head, parameters


def _build(kind: Kind, specification: str) -> Any:
    name, parameters = parse_specification(specification)
    plugin = load(kind, name)
    try:
        return plugin(**parameters)
    except TypeError as error:
        raise PluginError(f"{kind[:-1]} {specification!r}: {error}") from error


def load_estimator(specification: str | ImportanceEstimator) -> ImportanceEstimator:
    """Return an estimator for ``greedy``, ``greedy:keep_ratio=0.5`` or ``module:Class``; an instance is passed through.

    Raises
    ------
    PluginError
        If the name is unknown or a parameter is not one of the estimator's.
    """
    if isinstance(specification, ImportanceEstimator):
        return specification
    estimator = _build("estimators", specification)
    if not isinstance(estimator, ImportanceEstimator):
        raise PluginError(f"{specification!r} is not an ImportanceEstimator but a {type(estimator).__name__}")
    return estimator


def load_objective(specification: str | Objective) -> Objective:
    """Return an objective for ``joint``, ``answer``, ... or ``module:Class``; an instance is passed through.

    Raises
    ------
    PluginError
        If the name is unknown or a parameter is not one of the objective's.
    """
    if isinstance(specification, Objective):
        return specification
    objective = _build("objectives", specification)
    if not isinstance(objective, Objective):
        raise PluginError(f"{specification!r} is not an Objective but a {type(objective).__name__}")
    return objective
