"""The kinds of plugins: what each is called, where it is offered, and what a class must be to be one of them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Generic, Literal, TypeVar

from tokimp.contracts.analysis import Analysis
from tokimp.contracts.categorizer import Categorizer
from tokimp.contracts.estimator import ImportanceEstimator
from tokimp.contracts.executor import Executor
from tokimp.contracts.objective import Objective
from tokimp.contracts.scorer import Capability, Scorer
from tokimp.contracts.task import Task
from tokimp.contracts.trainer import Trainer
from tokimp.contracts.unit_splitter import UnitSplitter
from tokimp.errors import PluginError

Kind = Literal[
    "scorers", "objectives", "estimators", "analyses", "categorizers", "tasks", "trainers", "units", "executors"
]
P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Description(Generic[P]):
    """What is particular to one kind of plugin; `P` is the type of its instances.

    Attributes
    ----------
    kind
        The kind, in the plural: ``analyses``.
    singular
        What messages call one plugin: ``analysis``.
    base
        The contract, which every class of the kind subclasses.
    """

    kind: Kind
    singular: str
    base: type[Any]  # P, but mypy lets no abstract class stand for type[P]

    @property
    def group(self) -> str:
        """The group of entry points in which packages offer this kind."""
        return f"tokimp.{self.kind}"


SCORERS: Description[Scorer] = Description("scorers", "scorer", Scorer)
OBJECTIVES: Description[Objective] = Description("objectives", "objective", Objective)
ESTIMATORS: Description[ImportanceEstimator] = Description("estimators", "estimator", ImportanceEstimator)
ANALYSES: Description[Analysis] = Description("analyses", "analysis", Analysis)
CATEGORIZERS: Description[Categorizer] = Description("categorizers", "categorizer", Categorizer)
TASKS: Description[Task] = Description("tasks", "task", Task)
TRAINERS: Description[Trainer] = Description("trainers", "trainer", Trainer)
UNITS: Description[UnitSplitter] = Description("units", "unit", UnitSplitter)
EXECUTORS: Description[Executor] = Description("executors", "executor", Executor)

DESCRIPTIONS: Mapping[Kind, Description[Any]] = MappingProxyType(
    {
        description.kind: description
        for description in (SCORERS, OBJECTIVES, ESTIMATORS, ANALYSES, CATEGORIZERS, TASKS, TRAINERS, UNITS, EXECUTORS)
    }
)
KINDS: tuple[Kind, ...] = tuple(DESCRIPTIONS)


CONTRACTS: tuple[str, ...] = tuple(description.base.__name__ for description in DESCRIPTIONS.values())
"""The names of the contracts, one for each kind."""


def kind_of(loaded: Any) -> Kind | None:
    """Return the kind of a plugin's class; ``None`` if it is the class of none."""
    kinds = [kind for kind in KINDS if isinstance(loaded, type) and issubclass(loaded, DESCRIPTIONS[kind].base)]
    return kinds[0] if kinds else None


def singular(kind: Kind) -> str:
    """Return what one plugin of a kind is called: ``analysis`` for ``analyses``."""
    return DESCRIPTIONS[kind].singular


def target_of(plugin: Any) -> str:
    """Return where a class or function is defined, as ``module:attribute``."""
    return f"{plugin.__module__}:{plugin.__qualname__}"


def _shown(plugin: Any) -> str:
    """Return the target of a class or function, and the ``repr`` of anything else, on one line."""
    return target_of(plugin) if hasattr(plugin, "__qualname__") else " ".join(repr(plugin).split())


def check_plugin(kind: Kind, loaded: Any, plugin: str, *, offered_as: str | None) -> None:
    """Raise `PluginError` unless what was loaded is of its kind, describes itself well and has the name offered.

    Parameters
    ----------
    kind
        What it has to be.
    loaded
        What it is: any object.
    plugin
        What messages call it.
    offered_as
        The name it is offered under; ``None`` if it is not asked for by a name.
    """
    base = DESCRIPTIONS[kind].base
    if not (isinstance(loaded, type) and issubclass(loaded, base)):
        raise PluginError(f"{plugin}: {_shown(loaded)} is not a subclass of {base.__name__}")
    if issubclass(loaded, ImportanceEstimator | Analysis):
        requires: Any = loaded.requires
        if not isinstance(requires, set | frozenset) or not all(isinstance(item, Capability) for item in requires):
            raise PluginError(
                f"{plugin}: requires must be a frozenset of members of Capability, such as "
                f"frozenset({{Capability.LOGPROBS}}), not {requires!r}"
            )
    name = getattr(loaded, "name", None)
    # Whoever builds an abstract class is told what it lacks.
    named = (isinstance(name, str) and name) or kind == "scorers" or inspect.isabstract(loaded)
    if offered_as is None and not named:
        example = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", loaded.__name__).lower()
        raise PluginError(f"{plugin}: {loaded.__name__} has no name; write name = {example!r} in the class")
    # A scorer has no name of its own: its backend is what its numbers come from.
    if kind != "scorers" and offered_as is not None and name != offered_as:
        raise PluginError(f"{plugin}: its name is {name!r}; it must be the one it is offered under")
