"""A trainer's answer, checked where it enters: the student it made, and the losses it measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokimp.contracts.plugin_output import described, plugin_code
from tokimp.contracts.trainer import Fit, Trainer
from tokimp.errors import TokimpError, TrainingError

_MEASURED = ("loss", "validation_loss")


def fit_by(trainer: Trainer, model: Any, tokenizer: Any, **arguments: Any) -> Fit:
    """Return what a trainer makes of a student; parameters as of `tokimp.contracts.trainer.Trainer.fit`.

    Raises
    ------
    TrainingError
        If the trainer fails, or returns anything but a `Fit` whose model can be saved, whose adapter is a folder, and
        whose history, steps and tokens are numbers.
    """
    name = f"the trainer {trainer.name!r}"
    with plugin_code(name, TrainingError, passed_on=TokimpError):
        fit: Any = trainer.fit(model, tokenizer, **arguments)
    if problem := _problem(fit):
        raise TrainingError(f"{name} returned {problem}")
    made: Fit = fit
    return made


def _problem(fit: Any) -> str:
    """Return what is wrong with a trainer's answer; empty if nothing is."""
    if not isinstance(fit, Fit):
        return f"{described(fit)}; a Fit was expected"
    if fit.model is None and fit.adapter is None:
        return "a Fit with neither a model nor an adapter; one of them was expected"
    if fit.model is not None and (
        isinstance(fit.model, type) or not callable(getattr(fit.model, "save_pretrained", 0))
    ):
        return f"a Fit with {described(fit.model)} as model; a model with save_pretrained was expected, or None"
    if fit.adapter is not None and not (isinstance(fit.adapter, Path) and fit.adapter.is_dir()):
        shown = str(fit.adapter) if isinstance(fit.adapter, Path) else described(fit.adapter)
        return f"a Fit with {shown} as adapter; the path (pathlib.Path) of a folder that is there was expected, or None"
    for field in ("steps", "tokens"):
        if not _is_whole(getattr(fit, field)):
            return f"a Fit with {described(getattr(fit, field))} as {field}; a whole number from 0 was expected"
    return _history_problem(fit.history)


def _history_problem(history: Any) -> str:
    """Return what is wrong with the measurements of a training; empty if nothing is."""
    if not isinstance(history, list):
        return f"a Fit with {described(history)} as history; a list of dicts was expected"
    for place, point in enumerate(history):
        where = f"a Fit whose history[{place}]"
        if not isinstance(point, dict):
            return f"{where} is {described(point)}; a dict was expected"
        for key, value in point.items():
            if not isinstance(key, str) or not _is_number(value):
                return f"{where} has {described(value)} under {key!r}; a number under a name was expected"
        if not {"step", "epoch"} <= point.keys() or not any(name in point for name in _MEASURED):
            return f"{where} has {', '.join(point) or 'nothing'}; step, epoch and loss or validation_loss were expected"
    return ""


def _is_number(value: Any) -> bool:
    # Python's own numbers: those of numpy and torch are no JSON, and the report is written as JSON.
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
