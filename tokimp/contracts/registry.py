"""Plugins by name: ``load_...`` makes an instance of what a name stands for, ``register_...`` names a class."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from tokimp.contracts.analysis import Analysis
from tokimp.contracts.categorizer import Categorizer
from tokimp.contracts.discovery import Plugin, load, names, plugin_identity, plugins, registering
from tokimp.contracts.estimator import ImportanceEstimator
from tokimp.contracts.executor import Executor
from tokimp.contracts.kinds import (
    ANALYSES,
    CATEGORIZERS,
    CONTRACTS,
    ESTIMATORS,
    EXECUTORS,
    KINDS,
    OBJECTIVES,
    TASKS,
    TRAINERS,
    UNITS,
    Description,
    Kind,
    check_plugin,
    kind_of,
    singular,
)
from tokimp.contracts.objective import Objective
from tokimp.contracts.specification import parse_specification
from tokimp.contracts.task import Task
from tokimp.contracts.trainer import Trainer
from tokimp.contracts.unit_splitter import UnitSplitter
from tokimp.errors import PluginError

__all__ = [
    "CONTRACTS",
    "KINDS",
    "Kind",
    "Plugin",
    "kind_of",
    "load",
    "load_analysis",
    "load_categorizer",
    "load_estimator",
    "load_executor",
    "load_objective",
    "load_task",
    "load_trainer",
    "load_unit",
    "names",
    "parse_specification",
    "plugin_identity",
    "plugins",
    "register_analysis",
    "register_categorizer",
    "register_estimator",
    "register_executor",
    "register_objective",
    "register_scorer",
    "register_task",
    "register_trainer",
    "register_unit",
    "singular",
]

C = TypeVar("C")
P = TypeVar("P")


def register_scorer(name: str | None = None) -> Callable[[C], C]:
    """Register a scorer class under `name` in this process (a package uses the entry point ``tokimp.scorers``)."""
    return registering("scorers", name)


def register_objective(name: str | None = None) -> Callable[[C], C]:
    """Register an objective class under `name` in this process (entry point: ``tokimp.objectives``)."""
    return registering("objectives", name)


def register_estimator(name: str | None = None) -> Callable[[C], C]:
    """Register an estimator class under `name` in this process (entry point: ``tokimp.estimators``)."""
    return registering("estimators", name)


def register_analysis(name: str | None = None) -> Callable[[C], C]:
    """Register an analysis class under `name` in this process (entry point: ``tokimp.analyses``)."""
    return registering("analyses", name)


def register_categorizer(name: str | None = None) -> Callable[[C], C]:
    """Register a categorizer class under `name` in this process (entry point: ``tokimp.categorizers``)."""
    return registering("categorizers", name)


def register_task(name: str | None = None) -> Callable[[C], C]:
    """Register a task class under `name` in this process (entry point: ``tokimp.tasks``)."""
    return registering("tasks", name)


def register_trainer(name: str | None = None) -> Callable[[C], C]:
    """Register a trainer class under `name` in this process (entry point: ``tokimp.trainers``)."""
    return registering("trainers", name)


def register_unit(name: str) -> Callable[[C], C]:
    """Register a unit splitter's class under `name` in this process (entry point: ``tokimp.units``)."""
    return registering("units", name)


def register_executor(name: str) -> Callable[[C], C]:
    """Register an executor's class under `name` in this process (entry point: ``tokimp.executors``)."""
    return registering("executors", name)


def load_estimator(specification: str | ImportanceEstimator) -> ImportanceEstimator:
    """Return an estimator for ``greedy``, ``greedy:keep_ratio=0.5`` or ``module:Class``; an instance is passed through.

    Raises
    ------
    PluginError
        If the name is unknown or a parameter is not one of the estimator's.
    """
    return _instance(ESTIMATORS, specification)


def load_objective(specification: str | Objective) -> Objective:
    """Return an objective for ``joint``, ``answer``, ... or ``module:Class``; an instance is passed through.

    Raises
    ------
    PluginError
        If the name is unknown or a parameter is not one of the objective's.
    """
    return _instance(OBJECTIVES, specification)


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
    return _instance(ANALYSES, specification, **parameters)


def load_categorizer(specification: str | Categorizer) -> Categorizer:
    """Return a categorizer for ``rules``, ``llm:model=...`` or ``module:Class``; an instance is passed through.

    Raises
    ------
    PluginError
        If the name is unknown or a parameter is not one of the categorizer's.
    """
    return _instance(CATEGORIZERS, specification)


def load_task(specification: str | Task) -> Task:
    """Return a task for ``gsm8k``, ``word_problems:steps=[2]`` or ``module:Class``; an instance is passed through.

    Raises
    ------
    PluginError
        If the name is unknown or a parameter is not one of the task's.
    """
    return _instance(TASKS, specification)


def load_trainer(specification: str | Trainer) -> Trainer:
    """Return a trainer for ``trl`` or ``module:Class``; an instance is passed through.

    Raises
    ------
    PluginError
        If the name is unknown or a parameter is not one of the trainer's.
    """
    return _instance(TRAINERS, specification)


def load_unit(specification: str | UnitSplitter) -> UnitSplitter:
    """Return a unit splitter for ``word``, ``sentence:language=de`` or ``module:Class``; an instance is passed through.

    Raises
    ------
    PluginError
        If the name is unknown or a parameter is not one of the unit's.
    """
    return _instance(UNITS, specification)


def load_executor(specification: str | Executor, **parameters: Any) -> Executor:
    """Return an executor for ``local``, ``processes:workers=2`` or ``module:Class``; an instance is passed through.

    Parameters
    ----------
    specification
        The name, with parameters where it has some, or an instance.
    parameters
        More of the executor's parameters; none beside an instance, which has its own.

    Raises
    ------
    PluginError
        If the name is unknown or a parameter is not one of the executor's.
    """
    return _instance(EXECUTORS, specification, **parameters)


def _instance(description: Description[P], specification: str | P, **more: Any) -> P:
    """Return an instance of one kind for a specification and `more` parameters, or pass one through."""
    kind = description.kind
    if isinstance(specification, str):
        instance: P = _build(kind, specification, **more)
        return instance
    base, cls = description.base, type(specification)
    if isinstance(specification, type):
        shown = f", {specification.__name__}()" if issubclass(specification, base) else ""
        raise PluginError(
            f"the class {specification.__name__} is no {singular(kind)}; give a name, such as {_any_name(kind)!r}, or "
            f"an instance of a subclass of {base.__name__}{shown}"
        )
    if not issubclass(cls, base):
        raise PluginError(
            f"{' '.join(repr(specification).split())} is no {singular(kind)}; give a name, such as "
            f"{_any_name(kind)!r}, or an instance of a subclass of {base.__name__}"
        )
    if more:
        raise PluginError(f"{specification!r} has its parameters; leave out {', '.join(sorted(more))}")
    check_plugin(kind, cls, f"{singular(kind)} {cls.__name__!r}", offered_as=None)
    return specification


def _any_name(kind: Kind) -> str:
    return (names(kind) or ["module:Class"])[0]


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
    if inspect.isabstract(plugin):
        unwritten = ", ".join(sorted(plugin.__abstractmethods__))
        raise PluginError(f"{singular(kind)} {name!r}: {plugin.__name__} is abstract; define {unwritten} in it")
    try:
        return plugin(**parameters)
    except TypeError as error:
        raise PluginError(f"{singular(kind)} {specification!r}: {error}") from error
    except (Exception, SystemExit) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise PluginError(
            f"{singular(kind)} {specification!r}: its __init__ failed with {reason}; __init__ only stores parameters"
        ) from error
