"""The type of options and arguments that name a plugin."""

from __future__ import annotations

from collections.abc import Callable

import click

from tokimp.errors import TokimpError


class PluginName(click.ParamType[str, str]):
    """Text that names a plugin, with parameters where it has some; a wrong name is wrong usage.

    Parameters
    ----------
    name
        What kind of plugin it names, for messages.
    load
        Called with the text. If it raises a `TokimpError`, the text is refused for that reason.
    """

    def __init__(self, name: str, load: Callable[[str], object]) -> None:
        self.name = name
        self._load = load

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text as it is, once what it names has been loaded."""
        try:
            self._load(value)
        except TokimpError as error:
            message = str(error)
            if isinstance(param, click.Option) and param.multiple and self._lists_several(value):
                message += f"; to name several, give {param.opts[0]} once for each"
            self.fail(message, param, ctx)
        return value

    def _lists_several(self, value: str) -> bool:
        """Whether a text that names no plugin is meant as a list of names; commas stand between parameters too."""
        return "," in value.partition("=")[0] or any(map(self._names_one, value.split(",")[1:]))

    def _names_one(self, value: str) -> bool:
        try:
            self._load(value.strip())
        except TokimpError:
            return False
        return True


# The registry imports every contract, and with them torch: it is loaded when there is a name to look up.
def _load_estimator(specification: str) -> None:
    from tokimp.contracts.registry import load_estimator

    load_estimator(specification).validate_parameters()


def _load_analysis(specification: str) -> None:
    from tokimp.contracts.registry import load_analysis

    load_analysis(specification).validate_parameters()


def _load_task(specification: str) -> None:
    from tokimp.contracts.registry import load_task

    load_task(specification).validate_parameters()


def _load_objective(specification: str) -> None:
    from tokimp.contracts.registry import load_objective

    load_objective(specification)


def _load_trainer(specification: str) -> None:
    from tokimp.contracts.registry import load_trainer

    load_trainer(specification)


def _load_unit(specification: str) -> None:
    from tokimp.contracts.registry import load_unit

    load_unit(specification).validate_parameters()


def _load_executor(specification: str) -> None:
    from tokimp.contracts.registry import load_executor

    load_executor(specification).validate_parameters()


def _load_scorer_class(name: str) -> None:
    from tokimp.contracts.registry import load

    load("scorers", name)


ESTIMATOR = PluginName("estimator", _load_estimator)
ANALYSIS = PluginName("analysis", _load_analysis)
TASK = PluginName("task", _load_task)
OBJECTIVE = PluginName("objective", _load_objective)
TRAINER = PluginName("trainer", _load_trainer)
UNIT = PluginName("unit", _load_unit)
EXECUTOR = PluginName("executor", _load_executor)
BACKEND = PluginName("backend", _load_scorer_class)
