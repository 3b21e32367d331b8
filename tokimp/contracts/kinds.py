"""The kinds of plugins, and what a class must be to be one of them."""

from __future__ import annotations

from typing import Any, Literal

from tokimp.contracts.analysis import Analysis
from tokimp.contracts.categorizer import Categorizer
from tokimp.contracts.estimator import ImportanceEstimator
from tokimp.contracts.objective import Objective
from tokimp.contracts.scorer import Capability, Scorer
from tokimp.contracts.task import Task
from tokimp.contracts.trainer import Trainer
from tokimp.errors import PluginError

Kind = Literal["scorers", "objectives", "estimators", "analyses", "categorizers", "tasks", "trainers"]
KINDS: tuple[Kind, ...] = ("scorers", "objectives", "estimators", "analyses", "categorizers", "tasks", "trainers")
_BASES: dict[Kind, type] = {
    "scorers": Scorer,
    "objectives": Objective,
    "estimators": ImportanceEstimator,
    "analyses": Analysis,
    "categorizers": Categorizer,
    "tasks": Task,
    "trainers": Trainer,
}


def singular(kind: Kind) -> str:
    """Return what one plugin of a kind is called: ``analysis`` for ``analyses``."""
    return "analysis" if kind == "analyses" else kind.removesuffix("s")


def target_of(plugin: Any) -> str:
    """Return where a class or function is defined, as ``module:attribute``."""
    return f"{plugin.__module__}:{plugin.__qualname__}"


def _shown(plugin: Any) -> str:
    """Return the target of a class or function, and of anything else what Python shows, on one line."""
    return target_of(plugin) if hasattr(plugin, "__qualname__") else " ".join(repr(plugin).split())


def check_plugin(kind: Kind, loaded: Any, plugin: str, *, offered_as: str | None) -> None:
    """Raise `PluginError` unless what was loaded is of its kind, describes itself well and has the name offered.

    Parameters
    ----------
    kind, loaded
        What it is to be, and what it is.
    plugin
        What messages call it.
    offered_as
        The name it is offered under; ``None`` where it is not asked for by a name.
    """
    base = _BASES[kind]
    if not (isinstance(loaded, type) and issubclass(loaded, base)):
        raise PluginError(f"{plugin}: {_shown(loaded)} is not a subclass of {base.__name__}")
    if issubclass(loaded, ImportanceEstimator | Analysis):
        requires: Any = loaded.requires
        if not isinstance(requires, set | frozenset) or not all(isinstance(each, Capability) for each in requires):
            raise PluginError(
                f"{plugin}: requires must be a frozenset of members of Capability, such as "
                f"frozenset({{Capability.LOGPROBS}}), not {requires!r}"
            )
    # A scorer has no name of its own: its backend is what its numbers come from.
    if kind != "scorers" and offered_as is not None and getattr(loaded, "name", None) != offered_as:
        raise PluginError(
            f"{plugin}: its name is {getattr(loaded, 'name', None)!r}; it must be the one it is offered under"
        )
