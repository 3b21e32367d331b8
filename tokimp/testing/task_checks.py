"""Does a task keep the contract? One check for every class that subclasses `Task`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from tokimp.contracts.task import Question, Source, Task
from tokimp.errors import TaskError
from tokimp.testing.parameter_checks import check_parameters, expect

_MANY = 500
Example = tuple[str, str, bool | Literal["not known"] | None]


def check_task(
    task: Task,
    examples: Sequence[Example],
    *,
    source: Source | None = None,
    splits: tuple[str, str] = ("train", "test"),
) -> None:
    r"""Raise `AssertionError` if a task breaks the contract of `Task`.

    The rules:

    - ``__init__`` stores its parameters as given. Name, label, parameters and constraints are well formed.
    - Questions have ids and texts of their own and a right answer, and are the same when they are asked for again.
    - A higher limit gives the questions of a lower one too.
    - No question is in both splits. All are compared; if a task must have a limit, 500 of each split.
    - `Task.split` gives None, or two texts of the response, one after the other and without white space around them.
      It is tried on your examples, and on texts that are no response.
    - `Task.is_right` says what your examples say.

    Parameters
    ----------
    task
        An instance.
    examples
        Responses, each with a right answer and whether it is right: True, False, ``"not known"`` where `Task.is_right`
        gives None, or None where the response cannot be split.
    source
        Where `Task.questions` reads; ``None`` for the task's own source.
    splits
        The names of two splits; one name twice if the source is a single split.

    Examples
    --------
    >>> from tokimp.distillation.tasks.word_problems import WordProblems
    >>> response = "So 7.\n#### 7"
    >>> check_task(WordProblems(), [(response, "7", True), (response, "8", False), ("So 7.", "7", None)])
    """
    check_parameters(task)
    few, many = (_questions(task, source, split=splits[0], limit=limit) for limit in (2, 5))
    _expect(
        all(question in many for question in few), task, "a higher limit must give the questions of a lower one too"
    )
    again = _questions(task, source, split=splits[0], limit=5)
    _expect(many == again, task, "asked again with the same seed, questions gives others")
    if splits[0] != splits[1]:
        first, second = ({question.text for question in _all_questions(task, source, split)} for split in splits)
        shared = first & second
        _expect(not shared, task, f"a question is in both splits: {sorted(shared)[:1]}")
    for response in ("", " ", "\n", "####", "{", "no answer \ud83d\ude00", *(response for response, _, _ in examples)):
        _check_parts(task, response)
    for response, gold, right in examples:
        parts = task.split(response)
        _expect(
            (parts is None) == (right is None), task, f"split({response!r}) is {parts!r}, but right is said: {right}"
        )
        if parts is not None:
            judged: Any = task.is_right(parts[1], gold)
            wanted = None if right == "not known" else right
            _expect(judged is wanted, task, f"is_right({parts[1]!r}, {gold!r}) is {judged!r}, not {wanted}")


def _questions(task: Task, source: Source | None, *, split: str, limit: int) -> list[Question]:
    questions = task.questions(source, limit=limit, seed=3, split=split)
    _expect(0 < len(questions) <= limit, task, f"limit={limit} gives {len(questions)} questions")
    for question in questions:
        _expect(isinstance(question, Question), task, f"questions gives a {type(question).__name__}, not a Question")
        complete = all(isinstance(text, str) and text.strip() for text in (question.id, question.text, question.gold))
        _expect(complete, task, f"{question!r} lacks an id, a text or a right answer")
    _expect(len({question.id for question in questions}) == len(questions), task, "two questions have one id")
    return questions


def _all_questions(task: Task, source: Source | None, split: str) -> list[Question]:
    """Return all questions of a split; of a task that has no end of them, many."""
    try:
        return task.questions(source, seed=3, split=split)
    except TaskError:
        return task.questions(source, limit=_MANY, seed=3, split=split)


def _check_parts(task: Task, response: str) -> None:
    parts: Any = task.split(response)
    if parts is None:
        return
    where = f"split({response!r}) is {parts!r}"
    two = isinstance(parts, tuple) and len(parts) == 2 and all(isinstance(part, str) for part in parts)
    _expect(two, task, f"{where}; give None or two texts")
    reasoning, answer = parts
    _expect(bool(answer), task, f"{where}; an answer is never empty: give None")
    _expect(all(part == part.strip() for part in parts), task, f"{where}; leave out the white space around them")
    at = response.find(reasoning)
    in_order = at >= 0 and response.find(answer, at + len(reasoning)) >= 0
    _expect(in_order, task, f"{where}; both must stand in the response as they are, the reasoning first")


def _expect(holds: bool, task: Task, message: str) -> None:
    expect(holds, f"{task.name}: {message}")
