"""``tokimp plugins``: everything that can be asked for by name, and the parameters of each."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import click

from tokimp.cli.lines import echo

if TYPE_CHECKING:
    from tokimp.contracts.kinds import Kind
    from tokimp.contracts.registry import Plugin

# How a plugin is named in a command, by kind; a categorizer is a parameter of the analyses that use one.
_USES = {
    "scorers": "--backend {}",
    "objectives": "--objective {}",
    "estimators": "--estimator {}",
    "analyses": "tokimp analyze RUN {}",
    "categorizers": "tokimp analyze RUN structure:categorizer={}",
    "tasks": "tokimp evaluate {}",
    "trainers": "--trainer {}",
    "units": "--unit {}",
    "executors": "--executor {}",
}


@click.command()
@click.argument("name", required=False)
def plugins(name: str | None) -> None:
    """List every plugin with its package, what it requires and, if it failed to load, why.

    With NAME (greedy, my_package.module:Class or my.py:Class): say what that plugin does, and list its parameters with
    their defaults, the values they may have, and what they mean.
    """
    if name is None:
        _list_all()
    else:
        _describe(name)


def _list_all() -> None:
    from rich.markup import escape
    from rich.table import Table

    from tokimp.contracts import registry
    from tokimp.report.terminal import TerminalConsole

    table = Table(box=None, pad_edge=False)
    for heading in ("kind", "name", "package", "requires or offers"):
        table.add_column(heading, overflow="fold")
    failures = []
    for kind in registry.KINDS:
        for plugin in registry.plugins(kind):
            note = _capabilities(plugin.loaded) if not plugin.error else "failed to load, see below"
            table.add_row(registry.singular(kind), escape(plugin.name), escape(plugin.package), note)
            if plugin.error:
                failures.append(plugin.error)
    TerminalConsole().print(table)
    for failure in failures:
        echo(f"\n{failure}")
    echo("\ntokimp plugins NAME lists the parameters of one of them")


def _capabilities(plugin: Any) -> str:
    """Return what an estimator or analysis requires, or what a scorer offers; empty for other kinds."""
    names = getattr(plugin, "requires", None) or getattr(plugin, "capabilities", None) or ()
    return ", ".join(sorted(names))


def _describe(name: str) -> None:
    """Print what a plugin does and what its parameters are; one name may stand for several kinds."""
    from tokimp.contracts import registry
    from tokimp.errors import PluginError, did_you_mean

    named = [plugin for kind in registry.KINDS for plugin in registry.plugins(kind) if plugin.name == name]
    if not named and ":" in name:
        named = [_of_a_module(name)]
    if not named:
        known = sorted({known for kind in registry.KINDS for known in registry.names(kind)})
        raise PluginError(
            f"there is no plugin named {name!r}{did_you_mean(name, known)}; tokimp plugins lists them all"
        )
    for plugin in named:
        if plugin.error:
            raise PluginError(plugin.error)
        _print(plugin)


def _of_a_module(name: str) -> Plugin:
    """Return the class that ``module:Class`` or ``my.py:Class`` names, whatever kind it is of."""
    from tokimp.contracts import registry
    from tokimp.contracts.discovery import load_class
    from tokimp.errors import PluginError

    loaded = load_class(name)
    kind = registry.kind_of(loaded)
    if kind is None:
        bases = ", ".join(registry.CONTRACTS)
        raise PluginError(f"{name!r} is no plugin: it is a subclass of none of {bases}")
    return registry.Plugin(kind, name, "(named by its place)", name, loaded=registry.load(kind, name))


def _print(plugin: Plugin) -> None:
    from tokimp.contracts.described_parameters import described_parameters, summary
    from tokimp.contracts.registry import singular

    echo(f"{plugin.name}: {singular(plugin.kind)} of {plugin.package}")
    _paragraph(summary(plugin.loaded), indent=2)
    if capabilities := _capabilities(plugin.loaded):
        echo(f"  {'offers' if plugin.kind == 'scorers' else 'requires'}: {capabilities}")
    # A scorer is built by what loads the model, not by parameters after its name.
    parameters = [] if plugin.kind == "scorers" else described_parameters(plugin.loaded)
    for parameter in parameters:
        default = "must be given" if parameter.default is None else f"default {parameter.default or 'an empty text'}"
        allowed = f"; {parameter.allowed}" if parameter.allowed else ""
        echo("")
        _paragraph(f"{parameter.name} ({default}{allowed})", indent=2)
        _paragraph(parameter.meaning, indent=6)
    echo("")
    echo(f"  for example: {_example(plugin.kind, plugin.name, [parameter.name for parameter in parameters])}")


def _example(kind: Kind, name: str, parameters: list[str]) -> str:
    return _USES[kind].format(f"{name}:{parameters[0]}=VALUE" if parameters else name)


def _paragraph(text: str, indent: int) -> None:
    """Print a text folded between words to the width of the terminal."""
    import shutil

    margin = " " * indent
    if text:
        width = max(40, min(120, shutil.get_terminal_size().columns))
        echo(textwrap.fill(text, width, initial_indent=margin, subsequent_indent=margin, break_on_hyphens=False))
