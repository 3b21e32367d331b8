"""``tokimp plugins``: everything that can be asked for by name, and the parameters of each."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING, Any

import click

from tokimp.cli.lines import echo

if TYPE_CHECKING:
    from tokimp.contracts.described_parameters import DescribedParameter
    from tokimp.contracts.registry import Plugin

# A command that uses a plugin of each kind, on the embedded chains and model.
_USES = {
    "scorers": "tokimp compare demo --backend {}",
    "objectives": "tokimp compare demo --objective {}",
    "estimators": "tokimp compare demo --estimator {}",
    "analyses": "tokimp compare demo --out runs/demo && tokimp analyze runs/demo {}",
    "categorizers": "tokimp show demo --categorizer {}",
    "tasks": "tokimp evaluate {} --model tiny --limit 20 --out runs/answers",
    "trainers": "tokimp train demo --student tiny --trainer {} --out runs/trained",
    "units": "tokimp show demo --unit {}",
    "executors": "tokimp compare demo --executor {}",
}
# The embedded chains have no wrong answers.
_ALSO = {("objectives", "contrast"): " --wrong-answers number"}
# A default that an example shows.
_PLAIN = re.compile(r"[\w.-]{1,20}")


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
    command, works = _example(plugin, parameters)
    echo(f"  {'for example' if works else 'for example, with a VALUE of yours'}: {command}")


def _example(plugin: Plugin, parameters: list[DescribedParameter]) -> tuple[str, bool]:
    """Return a command that uses a plugin, and whether it works as it stands: not if a parameter has to be given."""
    import shlex

    works = plugin.kind == "scorers" or _has_defaults(plugin)
    named = [p for p in parameters if p.default not in {None, "", "null"} and _PLAIN.fullmatch(p.default or "")]
    if not works:
        needed = next((p for p in parameters if not p.default), parameters[0])
        specification = f"{plugin.name}:{needed.name}=VALUE"
    else:
        specification = f"{plugin.name}:{named[0].name}={named[0].default}" if named else plugin.name
    return _USES[plugin.kind].format(shlex.quote(specification)) + _ALSO.get((plugin.kind, plugin.name), ""), works


def _has_defaults(plugin: Plugin) -> bool:
    """Whether the plugin can be used without any parameter."""
    from tokimp.errors import TokimpError

    try:
        plugin.loaded().validate_parameters()
    except (TokimpError, TypeError):
        return False
    return True


def _paragraph(text: str, indent: int) -> None:
    """Print a text folded between words to the width of the terminal."""
    import shutil

    margin = " " * indent
    if text:
        width = max(40, min(120, shutil.get_terminal_size().columns))
        echo(textwrap.fill(text, width, initial_indent=margin, subsequent_indent=margin, break_on_hyphens=False))
