"""Task: the contract of what is asked of teachers and students, and of how their responses are read."""

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
"""Where questions are read: the path of a JSONL file, or the name of a data set on the hub."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and the right answer.

    Attributes
    ----------
    id
        Names the question in files and messages; unique within a task's split.
    text
        All of what a model is asked, as it stands in `tokimp.Chain.question`: options of a multiple choice and the
        instruction how to answer included.
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

    ``__init__`` only stores its parameters, each under its own name. A subclass has a `name` and writes `questions`,
    `split` and `is_right`; everything else (sampling, pruning, training, evaluating) is done by these three.

    Attributes
    ----------
    max_new_tokens
        The most tokens that a response is given where nobody says otherwise; 1536 as in Singh and Hakkani-Tuer (2026).

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
            Where they are read; ``None`` for the task's own source. A task that makes its questions takes none.
        limit
            The most questions; which ones `seed` decides (`draw`), and the same seed and a higher limit give them too.
        seed
            Of what is drawn, or made.
        split
            ``train`` or ``test``: no question is in both.

        Raises
        ------
        TaskError, ChainError
            If the source cannot be read, holds no question or one that is broken, or the split is not known.
        """

    @abstractmethod
    def split(self, response: str) -> tuple[str, str] | None:
        """Divide a response into its reasoning and its answer, as texts of the response without white space around.

        What follows the answer is left out. The reasoning is empty where the response answers at once.

        Returns
        -------
        tuple of (str, str), or None
            ``None`` where the response holds no answer of the form that the task asks for: nothing is guessed.
        """

    @abstractmethod
    def is_right(self, answer: str, gold: str) -> bool:
        """Return whether an answer, as `split` gives it (text before its value is allowed), says the same as `gold`."""


def draw(questions: Iterable[Question], limit: int | None, seed: int) -> list[Question]:
    """Draw at most `limit` questions at random, and keep them in their order.

    Each question's lot is a hash of the seed and its id, so that a higher limit only adds to what a lower one drew.
    Data sets are often sorted by subject: their first questions would be all of one.

    Parameters
    ----------
    questions
        What is drawn from.
    limit
        How many; ``None`` for all.
    seed
        Of the drawing.

    Raises
    ------
    TaskError
        If the limit is below 1, or two questions have one id.
    """
    all_of_them = list(questions)
    ids = [question.id for question in all_of_them]
    if len(set(ids)) < len(ids):
        twice = next(each for each in ids if ids.count(each) > 1)
        raise TaskError(f"two questions have the id {twice!r}; give every question an id of its own")
    if limit is None:
        return all_of_them
    if limit < 1:
        raise TaskError(f"limit must be at least 1, not {limit}")
    lots = {each: hashlib.sha256(f"{seed} {each}".encode()).digest() for each in ids}
    drawn = set(sorted(ids, key=lots.__getitem__)[:limit])
    return [question for question in all_of_them if question.id in drawn]
