"""Finding the class that a name stands for: entry points of installed packages, and classes of this process."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from tokimp.contracts.kinds import DESCRIPTIONS, KINDS, Kind, check_plugin, singular, target_of
from tokimp.errors import PluginError, TokimpError, did_you_mean

# package.module:Class, or the path of a Python file and a class in it.
_PLACE = re.compile(r"(?:[A-Za-z_][\w.]*|.+\.py):[A-Za-z_][\w.]*")

C = TypeVar("C")
# Digests of the files that modules were made of, by the module's name.
_content_digests: dict[str, str] = {}
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


def registering(kind: Kind, name: str | None) -> Callable[[C], C]:
    """Return the decorator that makes `name` stand for a class in this process.

    Raises
    ------
    PluginError
        If `name` is no text, because the decorator was used without one; and, when the decorator is applied, if another
        class has the name.
    """
    if not isinstance(name, str):
        decorator = f"@register_{singular(kind)}"
        shown = f"{decorator}({getattr(name, 'name', None) or 'a_name'!r})"
        raise PluginError(f"{decorator} was used without a name; write {shown} above the class")

    def register(plugin: C) -> C:
        holder = registered[kind].get(name)
        # Running a notebook's cell again defines the same class anew: that is no second claim.
        if holder is not None and target_of(holder) != target_of(plugin):
            raise PluginError(f"{singular(kind)} {name!r} is already registered, for {target_of(holder)}")
        registered[kind][name] = plugin
        return plugin

    return register


class _Offer(NamedTuple):
    """What an entry point says: the distribution that offers a class, and ``module:attribute``."""

    package: str
    target: str


def _offers(kind: Kind) -> dict[str, list[_Offer]]:
    """Return what installed packages offer of a kind, by name; a name with several is claimed by several packages.

    Names are looked up thousands of times in a run, and reading the metadata of a hundred packages takes milliseconds.
    So it is read again only where a package was installed, replaced or removed.
    """
    return _read_offers(kind, tuple(_installed()))


def _installed() -> Iterator[tuple[str, int, int]]:
    """Yield path, inode and time of change of every folder that packages or their metadata lie in."""
    for place in sys.path:
        # Not every entry of the path is a folder that is there.
        with contextlib.suppress(OSError):
            status = Path(place).stat()
            yield place, status.st_ino, status.st_mtime_ns
            with os.scandir(place or ".") as listed:
                for entry in listed:
                    # A file written into the folder of a package's metadata leaves the folder above as it was.
                    if entry.name.endswith((".dist-info", ".egg-info")):
                        status = entry.stat()
                        yield entry.path, status.st_ino, status.st_mtime_ns


@lru_cache(maxsize=4 * len(KINDS))
def _read_offers(kind: Kind, _: tuple[tuple[str, int, int], ...]) -> dict[str, list[_Offer]]:
    """Return what the packages that are installed now offer of a kind, by name."""
    offered: dict[str, list[_Offer]] = {}
    for entry in entry_points(group=DESCRIPTIONS[kind].group):
        offers = offered.setdefault(entry.name, [])
        offer = _Offer(entry.dist.name if entry.dist is not None else "(unknown package)", entry.value)
        # A package installed twice (an editable install over a plain one) is met twice; it makes one claim.
        if offer not in offers:
            offers.append(offer)
    return offered


def names(kind: Kind) -> list[str]:
    """Return every name of a kind that can be asked for, sorted."""
    return sorted({*_offers(kind), *registered[kind]})


def _claims(kind: Kind, name: str, offers: Sequence[_Offer]) -> list[str]:
    """Return who offers a name, as ``package (target)``; a class both registered and an entry point is one offer."""
    claims = [f"{offer.package} ({offer.target})" for offer in offers]
    if name in registered[kind]:
        target = target_of(registered[kind][name])
        if target not in {offer.target for offer in offers}:
            claims.append(f"this process ({target})")
    return claims


def load(kind: Kind, name: str) -> Any:
    """Return the class registered under `name`, or named by ``package.module:Class`` or ``path/to/file.py:Class``.

    Raises
    ------
    PluginError
        If the name is unknown (the message lists the known ones), claimed twice, or fails to load. Also if the class
        does not subclass the contract of its kind, does not say what it requires as a set of `Capability`, or has
        another name than it is offered under.
    """
    offers = _offers(kind).get(name, [])
    claims = _claims(kind, name, offers)
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
        return _load_target(kind, name, offers[0].target, offers[0].package)
    if _PLACE.fullmatch(name):
        return _load_target(kind, name, name, "")
    raise PluginError(
        f"there is no {singular(kind)} named {name!r}; known are {', '.join(names(kind)) or 'none'}"
        f"{did_you_mean(name, names(kind))}"
    )


def load_class(place: str, plugin: str | None = None) -> Any:
    """Return what ``package.module:Class`` or ``path/to/file.py:Class`` names, of whatever kind it is.

    Parameters
    ----------
    place
        Where it is defined. A path may be relative to the current folder.
    plugin
        What messages call it.

    Raises
    ------
    PluginError
        If it cannot be imported; the message says how a module of the current folder is named.
    """
    module, _, attribute = place.rpartition(":")
    loaded: Any = None
    try:
        loaded = import_plugin_file(Path(module)) if module.endswith(".py") else importlib.import_module(module)
        for part in attribute.split("."):
            loaded = getattr(loaded, part)
    # A plugin's module is a stranger's code: whatever it raises becomes one clear message on one line.
    except (Exception, SystemExit) as error:
        # Our own messages say what is wrong; of others, the class says half of it.
        words = str(error) if isinstance(error, TokimpError) else f"{type(error).__name__}: {error}"
        reason = " ".join(words.split())
        if isinstance(error, AttributeError) and loaded is not None and error.obj is loaded:
            # Python's own words have the made-up name of a file's module.
            reason = f"AttributeError: {module} has no attribute {error.name!r}{did_you_mean(error.name, dir(loaded))}"
        hint = _how_to_find(module, attribute, error)
        raise PluginError(f"{plugin or repr(place)} failed to load from {place}: {reason}{hint}") from error
    return loaded


def plugin_files() -> tuple[str, ...]:
    """Return the files whose classes were named in this process as ``path/to/file.py:Class``."""
    return tuple(dict.fromkeys(str(sys.modules[name].__file__) for name in _content_digests if name in sys.modules))


def import_plugin_file(path: str | Path) -> Any:
    """Return the module that a file defines, run once for each content that the file has had."""
    file = Path(path).expanduser().resolve()
    try:
        content = file.read_bytes()
    except OSError as error:
        raise PluginError(
            f"the file {file} cannot be read ({error.strerror}); check the path before the colon"
        ) from error
    digest = hashlib.sha256(content).hexdigest()
    name = f"tokimp_plugin_file_{hashlib.sha256(f'{file} {digest}'.encode()).hexdigest()[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    specification = importlib.util.spec_from_file_location(name, file)
    if specification is None or specification.loader is None:
        raise PluginError(f"{file} is no Python file")
    module = importlib.util.module_from_spec(specification)
    # Dataclasses and pickle look a class's module up by its name.
    sys.modules[name] = module
    try:
        specification.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    _content_digests[name] = digest
    return module


def _how_to_find(module: str, attribute: str, error: BaseException) -> str:
    """Return how to name a module that was not found though it lies in the current folder; else an empty text."""
    if not isinstance(error, ModuleNotFoundError) or error.name is None:
        return ""
    if module.endswith(".py"):
        folder = Path(module).expanduser().resolve().parent
        beside = [folder / f"{error.name}.py", folder / error.name]
        if any(path.exists() for path in beside):
            return f"; it lies beside the file: set PYTHONPATH={folder}"
        return ""
    if Path(module).is_file():
        return f"; {module} is a file, and a plugin's file has a name that ends in .py"
    file = Path(*module.split(".")).with_suffix(".py")
    if error.name == module.partition(".")[0] and file.is_file():
        return f"; {file} is here: name it as {file}:{attribute}, or set PYTHONPATH=."
    return ""


def _load_target(kind: Kind, name: str, target: str, package: str) -> Any:
    plugin = f"{singular(kind)} {name!r}" + (f" of package {package}" if package else "")
    loaded = load_class(target, plugin)
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
        _listed(kind, name, offer.package, offer.target) for name, offers in _offers(kind).items() for offer in offers
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
        registered in this process, or named by ``module:Class``. Then ``class`` tells it from others of its name. Of
        a class that was named by its file, ``file`` is a digest: a run is not continued with changed code.
    """
    defined = type(plugin)
    # A scorer has no name of its own: it is offered under that of its backend.
    name = str(plugin.backend if kind == "scorers" else plugin.name)
    for package, target in _offers(kind).get(name, []):
        # A plugin that fails to load offers nothing, and so not this class.
        with contextlib.suppress(PluginError):
            if _load_target(kind, name, target, package) is defined:
                return {"name": name, "distribution": package}
    identity = {"name": name, "distribution": "", "class": defined.__qualname__}
    content = _content_digests.get(defined.__module__)
    return identity if content is None else {**identity, "file": content}
