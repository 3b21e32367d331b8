"""A task's answers, checked where they enter: questions, parts of a response, and whether an answer is right."""

from __future__ import annotations

import numpy as np

from tokimp.contracts.plugin_output import described, plugin_code
from tokimp.contracts.task import Question, Source, Task
from tokimp.errors import TaskError, TokimpError


def questions_of(task: Task, source: Source | None, *, limit: int | None, seed: int, split: str) -> list[Question]:
    """Return the questions that a task gives; parameters as of `tokimp.contracts.task.Task.questions`.

    Raises
    ------
    TaskError
        If the task fails, or returns anything but a list of `Question`.
    """
    name = f"the task {task.name!r}, asked for its questions,"
    with plugin_code(name, TaskError, passed_on=TokimpError):
        given = task.questions(source, limit=limit, seed=seed, split=split)
    if not isinstance(given, list | tuple):
        raise TaskError(f"{name} returned {described(given)}; a list of Question was expected")
    for question in given:
        if not isinstance(question, Question):
            raise TaskError(f"{name} returned {described(question)} in its list; Question was expected")
        for field in ("id", "text", "gold", "system"):
            if not isinstance(getattr(question, field), str):
                raise TaskError(
                    f"{name} returned question {question.id!r} with {described(getattr(question, field))} as {field}; "
                    "a text was expected"
                )
    return list(given)


def parts_of(task: Task, response: str) -> tuple[str, str] | None:
    """Return the reasoning and the answer that a task finds in a response; ``None`` if it finds no answer.

    Raises
    ------
    TaskError
        If it returns anything but a tuple of two texts, or ``None``.
    """
    parts = task.split(response)
    if parts is None:
        return None
    if not (isinstance(parts, tuple) and len(parts) == 2 and all(isinstance(part, str) for part in parts)):
        raise TaskError(
            f"the task {task.name!r}, asked to split a response, returned {described(parts)}; a tuple of two texts, "
            "reasoning and answer, was expected, or None"
        )
    return parts


def rightness(task: Task, answer: str, gold: str) -> bool | None:
    """Return whether a task calls an answer right; ``None`` if it does not know.

    Raises
    ------
    TaskError
        If it returns anything but true, false or ``None``.
    """
    right = task.is_right(answer, gold)
    if right is None:
        return None
    if not isinstance(right, bool | np.bool_):
        raise TaskError(
            f"the task {task.name!r}, asked whether an answer is right, returned {described(right)}; True, False or "
            "None (not known) was expected"
        )
    return bool(right)
