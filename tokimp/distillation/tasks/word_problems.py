"""The word problems that the embedded model solves, made on the spot."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tokimp.chains.datasets.correctness import split_answer
from tokimp.chains.datasets.values import same_value
from tokimp.chains.datasets.word_problems import generate
from tokimp.contracts.constraints import ListOf, WholeNumber
from tokimp.contracts.task import Question, Source, Task
from tokimp.errors import TaskError

_ANSWER = re.compile(r"^####[^\S\n]*\S.*$", re.MULTILINE)
_SPLITS = ("train", "test")


class WordProblems(Task):
    """Arithmetic word problems of two to four steps (`tokimp.chains.datasets.word_problems`); needs no file and no hub.

    A response ends in a line ``#### 42``. A hash of the question decides its split, whatever the seed; `limit` says how
    many are made and must be given.

    Parameters
    ----------
    steps
        Numbers of steps to draw from, each between 2 and 4.
    """

    name = "word_problems"
    # The longest chain that is made, its line "#### 42" included, takes about 90 of the embedded model's tokens.
    max_new_tokens = 160
    constraints = {"steps": ListOf(WholeNumber(2, 4), fewest=1)}

    def __init__(self, steps: Sequence[int] = (2, 3, 4)) -> None:
        self.steps = steps

    def questions(
        self, source: Source | None = None, *, limit: int | None = None, seed: int = 0, split: str = "test"
    ) -> list[Question]:
        """Make `limit` problems of a split; the first ones are the same for every limit."""
        self.validate_parameters()
        if source is not None:
            raise TaskError(f"word_problems makes its questions and reads none; leave the source {str(source)!r} out")
        if split not in _SPLITS:
            raise TaskError(f"word_problems has no split {split!r}; its splits are {' and '.join(_SPLITS)}")
        if limit is None or limit < 1:
            raise TaskError(f"word_problems has no end, so limit must say how many to make: 1 or more, not {limit}")
        problems = generate(limit, seed, steps=tuple(self.steps), split="train" if split == "train" else "test")
        return [
            Question(f"word_problems-{split}-{seed}-{index:05d}", problem.question, problem.gold)
            for index, problem in enumerate(problems)
        ]

    def split(self, response: str) -> tuple[str, str] | None:
        r"""Divide a response at its first line ``#### 42``; what a model writes after it is left out.

        >>> WordProblems().split("Tom has 2+3=5 pens.\n#### 5\n\nMia has")
        ('Tom has 2+3=5 pens.', '#### 5')
        """
        answer = _ANSWER.search(response)
        return None if answer is None else (response[: answer.start()].strip(), answer.group().strip())

    def is_right(self, answer: str, gold: str) -> bool | None:
        """Compare the number after ``####`` with the right one."""
        line = _ANSWER.search(answer)
        return False if line is None else same_value(split_answer(line.group()).value, gold)
