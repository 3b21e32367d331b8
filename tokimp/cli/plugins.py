"""``tokimp plugins``: everything that can be asked for by name, from scorers to tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from tokimp.contracts.registry import Plugin


@click.command()
def plugins() -> None:
    """List every plugin with its package, what it requires and, if it failed to load, why."""
    from rich.console import Console
    from rich.table import Table

    from tokimp.contracts import registry

    table = Table(box=None, pad_edge=False)
    for heading in ("kind", "name", "package", "requires or offers"):
        table.add_column(heading, overflow="fold")
    failures = []
    for kind in registry.KINDS:
        for plugin in registry.plugins(kind):
            note = _capabilities(plugin) if not plugin.error else "failed to load, see below"
            table.add_row(registry.singular(kind), plugin.name, plugin.package, note)
            if plugin.error:
                failures.append(plugin.error)
    Console().print(table)
    for failure in failures:
        click.echo(f"\n{failure}")


def _capabilities(plugin: Plugin) -> str:
    """Return what an estimator or analysis requires, or what a scorer offers; empty for other kinds."""
    names = getattr(plugin.loaded, "requires", None) or getattr(plugin.loaded, "capabilities", None) or ()
    return ", ".join(sorted(names))
