"""Constraints: which values a parameter may have, declared once and said in words."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any

import numpy as np


class Constraint(ABC):
    """Decides about one value, and says in words which values it allows.

    `Parameterized.constraints` maps parameters to constraints. A constraint never changes a value. ``True`` and
    ``False`` are no numbers, and numpy's scalars are allowed where Python's are.

    Examples
    --------
    A constraint of your own is a class with two methods:

    >>> class Even(Constraint):
    ...     def allows(self, value):
    ...         return WholeNumber().allows(value) and value % 2 == 0
    ...
    ...     def __str__(self):
    ...         return "an even number"
    >>> [Even().allows(value) for value in (4, 5, "4")]
    [True, False, False]
    >>> str(Optional(Even()))
    'an even number, or null'
    """

    @abstractmethod
    def allows(self, value: Any) -> bool:
        """Return whether a parameter may have this value, which can be any object."""

    @abstractmethod
    def __str__(self) -> str:
        """Return what is allowed, in words that can follow "give": ``a whole number, 1 or more``."""


@dataclass(frozen=True)
class Number(Constraint):
    """Allows finite numbers, whole or not.

    Parameters
    ----------
    least, most
        The smallest and the largest number allowed.
    above, below
        Bounds that are not allowed themselves.

    Examples
    --------
    >>> str(Number(0, 1)), str(Number(above=0, below=1)), str(Number(0, below=1))
    ('a number from 0 to 1', 'a number between 0 and 1', 'a number, 0 or more and below 1')
    """

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None

    def allows(self, value: Any) -> bool:
        """Return whether the value is a finite number within the bounds."""
        if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
            return False
        return bool(
            math.isfinite(value)
            and (self.least is None or value >= self.least)
            and (self.most is None or value <= self.most)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        """Return the bounds in words."""
        if self.least is not None and self.most is not None:
            return f"a number from {self.least} to {self.most}"
        if self.above is not None and self.below is not None:
            return f"a number between {self.above} and {self.below}"
        bounds = {"{} or more": self.least, "above {}": self.above, "at most {}": self.most, "below {}": self.below}
        said = " and ".join(words.format(bound) for words, bound in bounds.items() if bound is not None)
        return f"a number{',' if self.least is not None else ''} {said}".rstrip()


@dataclass(frozen=True)
class WholeNumber(Constraint):
    """Allows whole numbers of an integer type: 3, but not 3.0.

    Parameters
    ----------
    least, most
        The smallest and the largest number allowed.

    Examples
    --------
    >>> str(WholeNumber(1)), str(WholeNumber(2, 4))
    ('a whole number, 1 or more', 'a whole number from 2 to 4')
    """

    least: int | None = None
    most: int | None = None

    def allows(self, value: Any) -> bool:
        """Return whether the value is a whole number within the bounds."""
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            return False
        return bool((self.least is None or value >= self.least) and (self.most is None or value <= self.most))

    def __str__(self) -> str:
        """Return the bounds in words."""
        return str(Number(self.least, self.most)).replace("a number", "a whole number", 1)


@dataclass(frozen=True)
class TrueOrFalse(Constraint):
    """Allows true and false, and nothing that only counts as such (1, 0, an empty list)."""

    def allows(self, value: Any) -> bool:
        """Return whether the value is a truth value of Python or numpy."""
        return isinstance(value, bool | np.bool_)

    def __str__(self) -> str:
        """Return both values."""
        return "true or false"


@dataclass(frozen=True, init=False)
class OneOf(Constraint):
    """Allows some texts and no others.

    Parameters
    ----------
    *choices
        The texts.

    Examples
    --------
    >>> str(OneOf("auto", "exact", "fast"))
    "'auto', 'exact' or 'fast'"
    """

    choices: tuple[str, ...]

    def __init__(self, *choices: str) -> None:
        object.__setattr__(self, "choices", choices)

    def allows(self, value: Any) -> bool:
        """Return whether the value is one of the texts."""
        return isinstance(value, str) and value in self.choices

    def __str__(self) -> str:
        """Return the texts in quotes."""
        *first, last = [repr(choice) for choice in self.choices]
        return f"{', '.join(first)} or {last}" if first else last


@dataclass(frozen=True)
class Text(Constraint):
    """Allows texts.

    Parameters
    ----------
    meaning
        What the text has to be, for the message: ``the name of an estimator``.
    may_be_empty
        Whether the empty text is allowed, which often stands for "none".
    """

    meaning: str = "a text"
    may_be_empty: bool = False

    def allows(self, value: Any) -> bool:
        """Return whether the value is a text, and not empty unless it may be."""
        return isinstance(value, str) and (self.may_be_empty or bool(value))

    def __str__(self) -> str:
        """Return the meaning."""
        return f"{self.meaning}, or an empty text" if self.may_be_empty else self.meaning


@dataclass(frozen=True)
class ListOf(Constraint):
    """Allows lists, tuples and other sequences in which every entry is allowed; a text is no list.

    Parameters
    ----------
    entry
        What each entry has to be.
    fewest
        The smallest number of entries.
    distinct
        Whether no entry may stand there twice.
    ascending
        Whether each entry must be larger than the one before it; entries must then be such as can be compared.

    Examples
    --------
    >>> str(ListOf(WholeNumber(), distinct=True)), str(ListOf(Number(0, 1), fewest=2, ascending=True))
    ('a list of different entries, each a whole number',
     'an ascending list of at least 2 entries, each a number from 0 to 1')
    """

    entry: Constraint
    fewest: int = 0
    distinct: bool = False
    ascending: bool = False

    def allows(self, value: Any) -> bool:
        """Return whether the value is a sequence of allowed entries, long enough and in order."""
        if isinstance(value, str | bytes) or not isinstance(value, Sequence) or len(value) < self.fewest:
            return False
        if not all(self.entry.allows(entry) for entry in value):
            return False
        if self.ascending:
            return all(first < second for first, second in pairwise(value))
        return not self.distinct or all(first != second for first, second in combinations(value, 2))

    def __str__(self) -> str:
        """Return in words how many entries there are, in which order, and what each is."""
        size = f"at least {self.fewest} " if self.fewest > 1 else "one or more " if self.fewest else ""
        kind = "an ascending list" if self.ascending else "a list"
        return f"{kind} of {size}{'different ' if self.distinct else ''}entries, each {self.entry}"


@dataclass(frozen=True)
class Optional(Constraint):
    """Allows ``None`` (``null`` on the command line), and what another constraint allows.

    Parameters
    ----------
    otherwise
        What a value other than ``None`` has to be.
    """

    otherwise: Constraint

    def allows(self, value: Any) -> bool:
        """Return whether the value is ``None``, or allowed otherwise."""
        return value is None or self.otherwise.allows(value)

    def __str__(self) -> str:
        """Return what is allowed, and null."""
        return f"{self.otherwise}, or null"


@dataclass(frozen=True, init=False)
class AnyOf(Constraint):
    """Allows what at least one of several constraints allows.

    Parameters
    ----------
    *constraints
        The constraints.

    Examples
    --------
    >>> str(AnyOf(WholeNumber(1), Number(above=0, below=1)))
    'a whole number, 1 or more, or a number between 0 and 1'
    """

    constraints: tuple[Constraint, ...]

    def __init__(self, *constraints: Constraint) -> None:
        object.__setattr__(self, "constraints", constraints)

    def allows(self, value: Any) -> bool:
        """Return whether one of the constraints allows the value."""
        return any(constraint.allows(value) for constraint in self.constraints)

    def __str__(self) -> str:
        """Return what each of them allows."""
        return ", or ".join(str(constraint) for constraint in self.constraints)
