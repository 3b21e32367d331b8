"""A shard of a run: some of its groups of chains, for whoever starts the parts of a run as jobs of their own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from tokimp.errors import TokimpError

T = TypeVar("T")
_WRITTEN = re.compile(r"\s*([0-9]+)\s*/\s*([0-9]+)\s*")


@dataclass(frozen=True, slots=True)
class Shard:
    """One of several parts of a run.

    A shard has groups of chains that follow each other, as evenly as whole groups can be divided. So each shard asks
    together what the whole run asks together, and the results of all shards joined (`tokimp.concat`) are the result of
    the whole run, bit for bit.

    Attributes
    ----------
    number
        Which part it is, from 1.
    count
        The number of parts.

    Raises
    ------
    TokimpError
        If there is no such part.

    Examples
    --------
    >>> [Shard(number, 3).of(range(7)) for number in (1, 2, 3)]
    [range(0, 2), range(2, 4), range(4, 7)]
    >>> Shard(2, 3).of(range(7), group_size=2)
    range(2, 4)
    """

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise TokimpError(f"there is no shard {self}; the shards of a run are numbered from 1 to their count")

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def of(self, chains: Sequence[T], group_size: int = 1) -> Sequence[T]:
        """Return the chains of the shard.

        Parameters
        ----------
        chains
            All chains of the run that can be used.
        group_size
            How many chains each estimator is asked about side by side.

        Raises
        ------
        TokimpError
            If the run has fewer groups than shards, so that some shard would have nothing to do.
        """
        groups = -(-len(chains) // group_size)
        if groups < self.count:
            each = "" if group_size == 1 else f" in groups of {group_size}"
            raise TokimpError(
                f"{len(chains)} chains{each} cannot be divided into {self.count} shards; ask for {groups} at most"
            )
        begin, end = (place * groups // self.count for place in (self.number - 1, self.number))
        return chains[begin * group_size : end * group_size]


def read_shard(text: str) -> Shard:
    """Return the shard that a text names: ``2/8`` is the second of eight.

    Raises
    ------
    TokimpError
        If the text names none.
    """
    written = _WRITTEN.fullmatch(text)
    if written is None:
        raise TokimpError(f"{text!r} names no shard; write 2/8 for the second of eight")
    return Shard(int(written[1]), int(written[2]))
