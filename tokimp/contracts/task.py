"""Task: the contract of the questions that teachers and students are asked, and of how their responses are read."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from os import PathLike
from typing import ClassVar

from tokimp.contracts.parameters import Parameterized
from tokimp.errors import TaskError

Source = str | PathLike[str]
"""The place where questions are read: the path of a JSONL file, or the name of a data set on the hub."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question, and its right answer.

    Attributes
    ----------
    id
        The name of the question in files and messages; unique within a task's split.
    text
        The whole text that a model is asked, as it stands in `tokimp.Chain.question`. It includes the options of a
        multiple choice, and the instruction how to answer.
    gold
        The right answer.
    system
        A system message; empty for none.
    """

    id: str
    text: str
    gold: str
    system: str = ""


class Task(Parameterized, ABC):
    r"""Asks questions, and reads the responses; the one class a new task subclasses.

    ``__init__`` only stores its parameters, each under its own name; `constraints` says which values they may have. A
    subclass has a `name` and writes `questions`, `split` and `is_right`. Sampling, pruning, training and evaluating
    need no more than these three. `tokimp.testing.check_task` checks all this.

    Attributes
    ----------
    max_new_tokens
        The most tokens of a response by default; 1536 as in Singh and Hakkani-Tuer (2026).

    Examples
    --------
    Sums of two numbers, answered after an arrow:

    >>> class Sums(Task):
    ...     name = "sums"
    ...
    ...     def questions(self, source=None, *, limit=None, seed=0, split="test"):
    ...         asked = [(a, b) for a in range(10) for b in range(10) if ((a + b) % 5 == 0) == (split == "test")]
    ...         return draw([Question(f"{a}+{b}", f"{a}+{b}?", str(a + b)) for a, b in asked], limit, seed)
    ...
    ...     def split(self, response):
    ...         reasoning, arrow, answer = response.rpartition("->")
    ...         return (reasoning.strip(), arrow + answer.rstrip()) if arrow else None
    ...
    ...     def is_right(self, answer, gold):
    ...         return answer.removeprefix("->").strip() == gold
    >>> sums = Sums()
    >>> question = sums.questions(limit=1)[0]
    >>> reasoning, answer = sums.split("3 and 2 make 5 -> 5")
    >>> reasoning, answer, sums.is_right(answer, "5")
    ('3 and 2 make 5', '-> 5', True)
    >>> sums.split("3 and 2 make") is None
    True
    """

    _error = TaskError
    max_new_tokens: ClassVar[int] = 1536

    @abstractmethod
    def questions(
        self, source: Source | None = None, *, limit: int | None = None, seed: int = 0, split: str = "test"
    ) -> list[Question]:
        """Return the questions of a split, in an order that is always the same.

        Parameters
        ----------
        source
            The place where they are read; ``None`` for the task's own source. A task that makes its questions has none.
        limit
            The most questions. `seed` decides which ones (see `draw`); a higher limit only adds some.
        seed
            The seed of what is drawn, or made.
        split
            ``train`` or ``test``: no question is in both.

        Raises
        ------
        TaskError, ChainError
            If the source cannot be read, it has no question or a broken one, or the split is not known.
        """

    @abstractmethod
    def split(self, response: str) -> tuple[str, str] | None:
        """Divide a response into its reasoning and its answer, as texts of the response without white space around.

        Text after the answer is left out. The reasoning is empty if the response answers at once.

        Returns
        -------
        tuple of (str, str), or None
            ``None`` if the response has no answer in the form that the task asks for: nothing is guessed.
        """

    @abstractmethod
    def is_right(self, answer: str, gold: str) -> bool | None:
        """Return whether an answer says the same as `gold`; ``None`` if that is not known.

        It is not known where the two can be neither shown to be the same nor told apart. Such answers are counted by
        themselves: they are not right, and no example of a wrong answer.

        Parameters
        ----------
        answer
            An answer as `split` gives it; there may be text before its value.
        gold
            The right answer.
        """


def draw(questions: Iterable[Question], limit: int | None, seed: int) -> list[Question]:
    """Draw at most `limit` questions at random, and keep them in their order.

    The order of drawing is that of a hash of the seed and each question's id, so a higher limit only adds questions to
    those of a lower one. Questions are drawn because data sets are often sorted by subject: their first questions would
    all be about one.

    Parameters
    ----------
    questions
        The questions to draw from.
    limit
        The number to draw; ``None`` for all.
    seed
        The seed of the drawing.

    Raises
    ------
    TaskError
        If the limit is below 1, or two questions have one id.
    """
    available = list(questions)
    ids = [question.id for question in available]
    if len(set(ids)) < len(ids):
        twice = next(name for name in ids if ids.count(name) > 1)
        raise TaskError(f"two questions have the id {twice!r}; give every question an id of its own")
    if limit is None:
        return available
    if limit < 1:
        raise TaskError(f"limit must be at least 1, not {limit}")
    hashes = {name: hashlib.sha256(f"{seed} {name}".encode()).digest() for name in ids}
    drawn = set(sorted(ids, key=hashes.__getitem__)[:limit])
    return [question for question in available if question.id in drawn]
