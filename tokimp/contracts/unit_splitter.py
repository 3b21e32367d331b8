"""Unit splitter: the contract of what divides a reasoning text into the units that are deleted as a whole."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from operator import index
from typing import Any, ClassVar

from tokimp.chains.chain import TokenizedChain
from tokimp.chains.units import Offsets, partition
from tokimp.contracts.parameters import Parameterized
from tokimp.contracts.plugin_output import plugin_code
from tokimp.errors import TokenizationError


class UnitSplitter(Parameterized, ABC):
    """Divides the reasoning tokens of a chain into units; the class a new unit of any kind subclasses.

    A unit that is found in the text (a word, a clause) subclasses `TextUnitSplitter` instead, which knows what to do
    with tokens at the borders. ``__init__`` only stores its parameters, each under its own name.
    `tokimp.testing.check_units` checks all this.

    Attributes
    ----------
    name
        The name it is asked for by: ``tokimp compare --unit fives``.
    version
        Raised by one whenever the same text is divided in another way than before. It is part of a run's identity,
        so that no run is continued with other units.

    Examples
    --------
    >>> class Fives(UnitSplitter):
    ...     name = "fives"
    ...
    ...     def split(self, text, offsets):
    ...         positions = range(len(offsets))
    ...         return [positions[start : start + 5] for start in positions[::5]]
    >>> Fives().split("abcdefg", [(place, place + 1) for place in range(7)])
    [range(0, 5), range(5, 7)]
    """

    _error = TokenizationError
    version: ClassVar[int] = 1

    @abstractmethod
    def split(self, text: str, offsets: Offsets) -> Sequence[Sequence[int]]:
        """Return the positions of each unit's tokens: a partition, ordered by the first token of each unit.

        Parameters
        ----------
        text
            The reasoning.
        offsets
            For each token the characters ``(start, end)`` of the text that it covers, starts ascending. Tokens that
            share a character have offsets that overlap.
        """


class TextUnitSplitter(UnitSplitter):
    """Divides a reasoning text at characters; a subclass has a `name` and writes `starts`.

    A token belongs to the unit of its first character that is not white space, so no token is cut.

    Examples
    --------
    >>> import re
    >>> class Clauses(TextUnitSplitter):
    ...     name = "clause"
    ...
    ...     def starts(self, text):
    ...         return [0, *(match.end() for match in re.finditer(r"[,;.] ", text))]
    >>> Clauses().split("So, 7", [(0, 2), (2, 3), (3, 5)])
    ((0, 1), (2,))
    """

    @abstractmethod
    def starts(self, text: str) -> Sequence[int]:
        """Return the character at which each unit of a text begins, ascending."""

    def split(self, text: str, offsets: Offsets) -> Sequence[Sequence[int]]:
        """Return the positions of each unit's tokens, by the characters they cover."""
        starts: Any = list(self.starts(text))
        for before, start in zip([-1, *starts], starts, strict=False):
            if not isinstance(start, int) or not before < start <= len(text):
                raise TokenizationError(
                    f"the unit {self.label!r} begins at characters {starts[:20]}; whole numbers that ascend, from 0 to "
                    f"{len(text)}, were expected"
                )
        return partition(text, offsets, starts)


def divide(tokens: TokenizedChain, splitter: UnitSplitter) -> TokenizedChain:
    """Return a chain with the units of a splitter, once they are known to be a partition of its reasoning tokens.

    Raises
    ------
    TokenizationError
        If a token is in no unit or in several, a unit is empty, units are not in the order of their first tokens, or
        the splitter fails.
    """
    n_tokens = len(tokens.reasoning_ids)
    called = f"{tokens.chain.where}: the unit {splitter.label!r}"
    with plugin_code(called, TokenizationError, passed_on=TokenizationError):
        units: Any = splitter.split(tokens.chain.reasoning, tokens.reasoning_offsets)
        # Its code may run only now, if it is a generator.
        units = list(units) if isinstance(units, Iterator) else units
    try:
        plain = tuple(tuple(sorted(index(position) for position in unit)) for unit in units)
    except (TypeError, ValueError) as error:
        raise _no_partition(tokens, splitter, f"{units!r:.80}, which is no list of lists of positions") from error
    if not all(plain):
        raise _no_partition(tokens, splitter, f"an empty unit, number {plain.index(())}")
    counts = Counter(position for unit in plain for position in unit)
    for position in (*range(n_tokens), *counts):
        if counts[position] != (1 if 0 <= position < n_tokens else 0):
            raise _no_partition(tokens, splitter, f"units that hold token {position} {counts[position]} times")
    if [unit[0] for unit in plain] != sorted(unit[0] for unit in plain):
        raise _no_partition(tokens, splitter, "units that are not in the order of their first tokens")
    return replace(tokens, units=plain, unit=splitter.label)


def _no_partition(tokens: TokenizedChain, splitter: UnitSplitter, given: str) -> TokenizationError:
    return TokenizationError(
        f"{tokens.chain.where}: the unit {splitter.label!r} gave {given}; each of the {len(tokens.reasoning_ids)} "
        "reasoning tokens must be in exactly one unit"
    )
