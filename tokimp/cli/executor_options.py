"""The options that say where the pieces of a command's work are done, and what becomes of those that fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from tokimp.cli.options import SPECIFICATION, NumberOrAuto
from tokimp.cli.plugin_name import EXECUTOR

if TYPE_CHECKING:
    from tokimp.contracts.executor import Executor

# What each option is called among the parameters of executors.
_PARAMETERS = {
    "workers": ("--workers", "workers"),
    "cell_timeout": ("--cell-timeout", "cell_timeout"),
    "retries": ("--retries", "retries"),
    "ray_address": ("--ray-address", "address"),
}


OPTIONS = frozenset({"executor", *_PARAMETERS})
"""The names of the options that `executor_options` gives a command."""

KEEP_GOING = click.option(
    "--keep-going",
    is_flag=True,
    help="Leave out a cell that fails and go on; the exit status is 3, and the same command tries it again.",
)


def executor_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that `executor_of` reads."""
    decorators = (
        click.option(
            "--executor",
            default="local",
            show_default=True,
            type=EXECUTOR,
            metavar=SPECIFICATION,
            help="Where the model is asked: local (here), processes, ray, submitit, ...; the numbers are the same.",
        ),
        click.option(
            "--workers",
            type=NumberOrAuto(),
            metavar="N|auto",
            help="How many workers the executor has.  [default: one a GPU, or as many as the cores suffice for; "
            "submitit: 8]",
        ),
        click.option(
            "--cell-timeout",
            type=click.FloatRange(min=0, min_open=True),
            metavar="SECONDS",
            help="End a worker that takes longer for a cell (a chain, a batch, a student), and try it again.  "
            "[default: no limit]",
        ),
        click.option(
            "--retries",
            type=click.IntRange(min=0),
            metavar="N",
            help="How often a cell is tried again whose worker died or took too long.  [default: 2]",
        ),
        click.option(
            "--ray-address",
            metavar="ADDRESS",
            help="The Ray cluster.  [default: RAY_ADDRESS, or a new one on this machine]",
        ),
    )
    for decorate in reversed(decorators):
        function = decorate(function)
    return function


def executor_of(options: dict[str, Any]) -> Executor:
    """Take the options of an executor out of those of a command, and return the executor that they name.

    Raises
    ------
    click.UsageError
        If an option is one that the executor does not have.
    """
    from tokimp.contracts.registry import load_executor
    from tokimp.errors import TokimpError

    specification = options.pop("executor")
    chosen = {name: options.pop(name) for name in _PARAMETERS}
    known = load_executor(specification).parameters()
    parameters = {}
    for name, value in chosen.items():
        flag, parameter = _PARAMETERS[name]
        if value is None:
            continue
        if parameter not in known:
            other = "ray" if name == "ray_address" else "processes"
            raise click.UsageError(f"{flag}: the executor {specification} has none; choose one with --executor {other}")
        parameters[parameter] = value
    try:
        executor = load_executor(specification, **parameters)
        executor.validate_parameters()
    except TokimpError as error:
        raise click.UsageError(f"--executor: {error}") from error
    return executor
