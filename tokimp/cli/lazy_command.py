"""Commands that are imported when they are called, so that ``tokimp --help`` need not import them all."""

from __future__ import annotations

from functools import cached_property
from importlib import import_module
from typing import Any

import click

from tokimp.cli.early_checks import check_early


class LazyCommand(click.Command):
    """Stands in a group for a command that is imported when it is called, or when its own help is asked for.

    Parameters
    ----------
    name
        What is typed.
    target
        Where the command is defined: ``module:attribute``.
    purpose
        The one line that the group's help shows.
    """

    def __init__(self, name: str, target: str, purpose: str) -> None:
        super().__init__(name, short_help=purpose)
        self._target = target

    @cached_property
    def command(self) -> click.Command:
        """The command itself, with the option ``--debug`` that all commands have."""
        module, _, attribute = self._target.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        debug = click.Option(["--debug"], is_flag=True, expose_value=False, help="Show the traceback of an error.")
        if all(parameter.name != debug.name for parameter in command.params):
            command.params.append(debug)
        return command

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Read the arguments as the command itself does; what is invoked then is that command.

        Before any of them is looked up, which may load libraries for seconds, files and models must be there.
        """
        context = click.Context(self.command, info_name=info_name, parent=parent)
        words, _, _ = self.command.make_parser(context).parse_args(list(args))
        asks_for_help = self.command.get_help_option(context)
        if asks_for_help is None or not words.get(str(asks_for_help.name)):
            check_early(words)
        return self.command.make_context(info_name, args, parent, **extra)
