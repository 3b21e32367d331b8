"""Names to plugins: entry points of installed packages, and classes registered in this process."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from tokimp.contracts.analysis import Analysis
from tokimp.contracts.categorizer import Categorizer
from tokimp.contracts.estimator import ImportanceEstimator
from tokimp.contracts.kinds import KINDS, Kind, check_plugin, singular, target_of
from tokimp.contracts.objective import Objective
from tokimp.contracts.specification import parse_specification
from tokimp.contracts.task import Task
from tokimp.contracts.trainer import Trainer
from tokimp.errors import PluginError

__all__ = [
    "KINDS",
    "Kind",
    "Plugin",
    "load",
    "load_analysis",
    "load_categorizer",
    "load_estimator",
    "load_objective",
    "load_task",
    "load_trainer",
    "names",
    "parse_specification",
    "plugin_identity",
    "plugins",
    "register_analysis",
    "register_categorizer",
    "register_estimator",
    "register_objective",
    "register_scorer",
    "register_task",
    "register_trainer",
    "singular",
]

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
        The class; ``None`` where loading failed.
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
        holder = _in_process[kind].get(name)
        # Running a notebook's cell again defines the same class anew: that is no second claim.
        if holder is not None and target_of(holder) != target_of(plugin):
            raise PluginError(f"{singular(kind)} {name!r} is already registered, for {target_of(holder)}")
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
    """Register an analysis class under `name` in this process (entry point: ``tokimp.analyses``)."""
    return _register("analyses", name)


def register_categorizer(name: str) -> Callable[[T], T]:
    """Register a categorizer class under `name` in this process (entry point: ``tokimp.categorizers``)."""
    return _register("categorizers", name)


def register_task(name: str) -> Callable[[T], T]:
    """Register a task class under `name` in this process (entry point: ``tokimp.tasks``)."""
    return _register("tasks", name)


def register_trainer(name: str) -> Callable[[T], T]:
    """Register a trainer class under `name` in this process (entry point: ``tokimp.trainers``)."""
    return _register("trainers", name)


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


def _claims(kind: Kind, name: str) -> list[str]:
    """Return who offers a name, as ``package (target)``; a class both registered and an entry point is one offer."""
    offers = _entries(kind).get(name, [])
    claims = [f"{_package(entry)} ({entry.value})" for entry in offers]
    if name in _in_process[kind]:
        target = target_of(_in_process[kind][name])
        if target not in {entry.value for entry in offers}:
            claims.append(f"this process ({target})")
    return claims


def load(kind: Kind, name: str) -> Any:
    """Return the class registered under `name`, or named by ``package.module:attribute``.

    Raises
    ------
    PluginError
        If the name is unknown (the message lists the known ones), claimed twice, or fails to load; or if what it
        stands for is no subclass of its kind, does not say what it requires as a set of `Capability`, or calls itself
        otherwise than it is offered.
    """
    offers = _entries(kind).get(name, [])
    claims = _claims(kind, name)
    if len(claims) > 1:
        raise PluginError(
            f"{singular(kind)} {name!r} is claimed by {' and '.join(claims)}; "
            "uninstall or rename one, or name package.module:Class instead"
        )
    if name in _in_process[kind]:
        registered = _in_process[kind][name]
        check_plugin(kind, registered, f"{singular(kind)} {name!r} of this process", offered_as=name)
        return registered
    if offers:
        return _load_target(kind, name, offers[0].value, _package(offers[0]))
    if re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*", name):
        return _load_target(kind, name, name, "")
    raise PluginError(f"there is no {singular(kind)} named {name!r}; known are {', '.join(names(kind)) or 'none'}")


def _load_target(kind: Kind, name: str, target: str, package: str) -> Any:
    plugin = f"{singular(kind)} {name!r}" + (f" of package {package}" if package else "")
    module, _, attribute = target.partition(":")
    try:
        loaded: Any = importlib.import_module(module)
        for part in attribute.split("."):
            loaded = getattr(loaded, part)
    # A plugin's module is a stranger's code: whatever it raises becomes one clear message on one line.
    except (Exception, SystemExit) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise PluginError(f"{plugin} failed to load from {target}: {reason}") from error
    check_plugin(kind, loaded, plugin, offered_as=name if package else None)
    return loaded


def _listed(kind: Kind, name: str, package: str, target: str) -> Plugin:
    try:
        return Plugin(kind, name, package, target, loaded=load(kind, name))
    except PluginError as failure:
        return Plugin(kind, name, package, target, error=str(failure))


def plugins(kind: Kind) -> list[Plugin]:
    """Return every plugin of a kind, loaded; one that fails to load carries its reason, and the rest goes on."""
    found = []
    for name, offers in _entries(kind).items():
        for entry in offers:
            found.append(_listed(kind, name, _package(entry), entry.value))
    for name, registered in _in_process[kind].items():
        target = target_of(registered)
        if any((plugin.name, plugin.target) == (name, target) for plugin in found):
            continue
        found.append(_listed(kind, name, "(this process)", target))
    return sorted(found, key=lambda plugin: plugin.name)


def plugin_identity(kind: Kind, plugin: Any) -> dict[str, str]:
    """Return what a run stores of a plugin: the name and the distribution that offer its class, never a module path.

    So a class can move to another module, and a run that was begun before can still be continued.

    Parameters
    ----------
    kind, plugin
        An instance, and what it is.

    Returns
    -------
    dict
        ``name`` and ``distribution``. A class without an entry point has no distribution (an empty text): it was
        registered in this process, or named by ``module:Class``. Then ``class`` tells it from others of its name.
    """
    defined = type(plugin)
    # A scorer has no name of its own: it is offered under that of its backend.
    name = str(plugin.backend if kind == "scorers" else plugin.name)
    for entry in _entries(kind).get(name, []):
        package = _package(entry)
        # A plugin that fails to load offers nothing, and so not this class.
        with contextlib.suppress(PluginError):
            if _load_target(kind, name, entry.value, package) is defined:
                return {"name": name, "distribution": package}
    return {"name": name, "distribution": "", "class": defined.__qualname__}


def _build(kind: Kind, specification: str, **more: Any) -> Any:
    name, parameters = parse_specification(specification)
    twice = sorted(set(parameters) & set(more))
    if twice:
        raise PluginError(f"{specification!r}: the parameter {twice[0]!r} is given twice")
    parameters |= more
    plugin = load(kind, name)
    known = inspect.signature(plugin).parameters
    unknown = sorted(set(parameters) - set(known))
    if unknown:
        raise PluginError(
            f"{singular(kind)} {name!r} has no parameter {unknown[0]!r}; it has {', '.join(known) or 'none'}"
        )
    try:
        return plugin(**parameters)
    except TypeError as error:
        raise PluginError(f"{singular(kind)} {specification!r}: {error}") from error


def load_estimator(specification: str | ImportanceEstimator) -> ImportanceEstimator:
    """Return an estimator for ``greedy``, ``greedy:keep_ratio=0.5`` or ``module:Class``; an instance is passed through.

    Raises
    ------
    PluginError
        If the name is unknown or a parameter is not one of the estimator's.
    """
    if isinstance(specification, ImportanceEstimator):
        check_plugin("estimators", type(specification), f"estimator {type(specification).__name__!r}", offered_as=None)
        return specification
    estimator: ImportanceEstimator = _build("estimators", specification)
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
    objective: Objective = _build("objectives", specification)
    return objective


def load_analysis(specification: str | Analysis, **parameters: Any) -> Analysis:
    """Return an analysis for ``agreement``, ``agreement:top_k=10`` or ``module:Class``; an instance is passed through.

    Parameters
    ----------
    specification
        The name, with parameters where it has some, or an instance.
    parameters
        More of the analysis's parameters; none beside an instance, which has its own.

    Raises
    ------
    PluginError
        If the name is unknown or a parameter is not one of the analysis's.
    """
    if isinstance(specification, Analysis):
        if parameters:
            raise PluginError(f"{specification!r} has its parameters; leave out {', '.join(sorted(parameters))}")
        check_plugin("analyses", type(specification), f"analysis {type(specification).__name__!r}", offered_as=None)
        return specification
    analysis: Analysis = _build("analyses", specification, **parameters)
    return analysis


def load_categorizer(specification: str | Categorizer) -> Categorizer:
    """Return a categorizer for ``rules``, ``llm:model=...`` or ``module:Class``; an instance is passed through.

    Raises
    ------
    PluginError
        If the name is unknown or a parameter is not one of the categorizer's.
    """
    if isinstance(specification, Categorizer):
        return specification
    categorizer: Categorizer = _build("categorizers", specification)
    return categorizer


def load_task(specification: str | Task) -> Task:
    """Return a task for ``gsm8k``, ``word_problems:steps=[2]`` or ``module:Class``; an instance is passed through.

    Raises
    ------
    PluginError
        If the name is unknown or a parameter is not one of the task's.
    """
    if isinstance(specification, Task):
        return specification
    task: Task = _build("tasks", specification)
    return task


def load_trainer(specification: str | Trainer) -> Trainer:
    """Return a trainer for ``trl`` or ``module:Class``; an instance is passed through.

    Raises
    ------
    PluginError
        If the name is unknown or a parameter is not one of the trainer's.
    """
    if isinstance(specification, Trainer):
        return specification
    trainer: Trainer = _build("trainers", specification)
    return trainer
