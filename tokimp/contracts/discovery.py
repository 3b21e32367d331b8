"""Finding the class that a name stands for: entry points of installed packages, and classes of this process."""

from __future__ import annotations

import contextlib
import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from tokimp.contracts.kinds import DESCRIPTIONS, KINDS, Kind, check_plugin, singular, target_of
from tokimp.errors import PluginError

C = TypeVar("C")
registered: dict[Kind, dict[str, Any]] = {kind: {} for kind in KINDS}
"""The classes registered in this process, by kind and name."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """A name that can be asked for, the package that offers it and, if it failed to load, the reason.

    Attributes
    ----------
    kind, name
        What it is and what it is called.
    package
        The distribution that offers it; ``(this process)`` for a class registered by a decorator.
    target
        ``module:attribute``.
    loaded
        The class; ``None`` if loading failed.
    error
        Why loading failed; empty if it did not.
    """

    kind: Kind
    name: str
    package: str
    target: str
    loaded: Any = None
    error: str = ""


def registering(kind: Kind, name: str) -> Callable[[C], C]:
    """Return the decorator that makes `name` stand for a class in this process.

    Raises
    ------
    PluginError
        If `name` is no text, because the decorator was used without one; and, when the decorator is applied, if another
        class has the name.
    """
    if not isinstance(name, str):
        decorator = f"@register_{singular(kind)}"
        shown = f"{decorator}({getattr(name, 'name', 'a_name')!r})"
        raise PluginError(f"{decorator} was used without a name; write {shown} above the class")

    def register(plugin: C) -> C:
        holder = registered[kind].get(name)
        # Running a notebook's cell again defines the same class anew: that is no second claim.
        if holder is not None and target_of(holder) != target_of(plugin):
            raise PluginError(f"{singular(kind)} {name!r} is already registered, for {target_of(holder)}")
        registered[kind][name] = plugin
        return plugin

    return register


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else "(unknown package)"


def _entries(kind: Kind) -> dict[str, list[EntryPoint]]:
    """Return the entry points of a kind by name; a name with several is claimed by several packages."""
    offered: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=DESCRIPTIONS[kind].group):
        offers = offered.setdefault(entry.name, [])
        # A package installed twice (an editable install over a plain one) is met twice; it makes one claim.
        if all((_package(entry), entry.value) != (_package(other), other.value) for other in offers):
            offers.append(entry)
    return offered


def names(kind: Kind) -> list[str]:
    """Return every name of a kind that can be asked for, sorted."""
    return sorted({*_entries(kind), *registered[kind]})


def _claims(kind: Kind, name: str) -> list[str]:
    """Return who offers a name, as ``package (target)``; a class both registered and an entry point is one offer."""
    offers = _entries(kind).get(name, [])
    claims = [f"{_package(entry)} ({entry.value})" for entry in offers]
    if name in registered[kind]:
        target = target_of(registered[kind][name])
        if target not in {entry.value for entry in offers}:
            claims.append(f"this process ({target})")
    return claims


def load(kind: Kind, name: str) -> Any:
    """Return the class registered under `name`, or named by ``package.module:attribute``.

    Raises
    ------
    PluginError
        If the name is unknown (the message lists the known ones), claimed twice, or fails to load. Also if the class
        does not subclass the contract of its kind, does not say what it requires as a set of `Capability`, or has
        another name than it is offered under.
    """
    offers = _entries(kind).get(name, [])
    claims = _claims(kind, name)
    if len(claims) > 1:
        raise PluginError(
            f"{singular(kind)} {name!r} is claimed by {' and '.join(claims)}; "
            "uninstall or rename one, or name package.module:Class instead"
        )
    if name in registered[kind]:
        plugin = registered[kind][name]
        check_plugin(kind, plugin, f"{singular(kind)} {name!r} of this process", offered_as=name)
        return plugin
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
    listed = [
        _listed(kind, name, _package(entry), entry.value) for name, offers in _entries(kind).items() for entry in offers
    ]
    offered = {(plugin.name, plugin.target) for plugin in listed}
    for name, plugin in registered[kind].items():
        target = target_of(plugin)
        if (name, target) not in offered:
            listed.append(_listed(kind, name, "(this process)", target))
    return sorted(listed, key=lambda plugin: plugin.name)


def plugin_identity(kind: Kind, plugin: Any) -> dict[str, str]:
    """Return what a run stores of a plugin: the name and the distribution that offer its class, never a module path.

    A class can therefore move to another module, and a run that was begun before can still be continued.

    Parameters
    ----------
    kind
        What it is.
    plugin
        An instance.

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
