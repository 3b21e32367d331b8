"""The options that messages advise: a message may come from any room, and the command that shows it may lack them."""

from __future__ import annotations

import re

import click

# Advice stands in parentheses: "leave it out (--skip-bad)", "name it (--model; in Python: scorer=...)".
_ADVICE = re.compile(r" \(((?:[^()]|\([^()]*\))*)\)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
"""An option as a message names it."""


def fitting_advice(message: str, command: click.Command) -> str:
    """Return a message without the parentheses that name an option which the command does not have.

    >>> skip = click.Command("compare", params=[click.Option(["--skip-bad"])])
    >>> fitting_advice("it is empty; leave it out (--skip-bad)", skip)
    'it is empty; leave it out (--skip-bad)'
    >>> fitting_advice("it is empty; leave it out (--skip-bad)", click.Command("train"))
    'it is empty; leave it out'
    """
    known = options_of(command)
    return _ADVICE.sub(lambda advice: advice[0] if set(OPTION.findall(advice[1])) <= known else "", message)


def without_option(message: str, option: str) -> str:
    """Return a message without the parentheses that name an option, where that option would not help."""
    return _ADVICE.sub(lambda advice: "" if option in OPTION.findall(advice[1]) else advice[0], message)


def options_of(command: click.Command) -> set[str]:
    """Return the options of a command, as they are typed."""
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
