"""Rows that were read, as arrays: many at a time, so that nothing is done one row after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tokimp.chains.arrays import IntArray

LogprobArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class RowBlock:
    """Rows of one length that were read together.

    Attributes
    ----------
    ids
        The reasoning, [row, token].
    slots
        Slots of prompt and reasoning in a `KeyValuePool`, [row, position].
    next_ids
        At each boundary (before each token of the reasoning, and after the last one), the ids of tokens that may come
        next, [row, token + 1, choice]; see `DeletionStep.next_ids`.
    logprobs
        Their log-probabilities in nats, [row, token + 1, choice]; NaN where not known.
    """

    ids: IntArray
    slots: IntArray
    next_ids: IntArray
    logprobs: LogprobArray


@dataclass(frozen=True, slots=True, eq=False)
class StoredRow:
    """A prompt with some reasoning: where its keys and values are stored, and what was predicted along it.

    Attributes
    ----------
    block, place
        The rows that it was read with, and its index among them. The other attributes are this row of the block's.
    """

    block: RowBlock
    place: int = 0

    @classmethod
    def alone(cls, ids: IntArray, slots: IntArray, next_ids: IntArray, logprobs: LogprobArray) -> StoredRow:
        """Return a row that is a block of its own; its arrays are views of these."""
        return cls(RowBlock(ids[None], slots[None], next_ids[None], logprobs[None]))

    @property
    def ids(self) -> IntArray:
        """The reasoning, [token]."""
        return self.block.ids[self.place]  # type: ignore[no-any-return] # a row of an array

    @property
    def slots(self) -> IntArray:
        """Slots of prompt and reasoning, [position]."""
        return self.block.slots[self.place]  # type: ignore[no-any-return] # a row of an array

    @property
    def next_ids(self) -> IntArray:
        """Tokens that may come next, [token + 1, choice]."""
        return self.block.next_ids[self.place]  # type: ignore[no-any-return] # a row of an array

    @property
    def logprobs(self) -> LogprobArray:
        """Their log-probabilities in nats, [token + 1, choice]; NaN where not known."""
        return self.block.logprobs[self.place]  # type: ignore[no-any-return] # a row of an array

    def shared_with(self, ids: IntArray) -> int:
        """Return how many tokens this row and `ids` have in common, counted from the first."""
        return common_prefix(self.ids, ids)

    def known_logprobs(self, next_ids: IntArray) -> LogprobArray:
        """Return the log-probabilities of `next_ids` at the row's first boundaries.

        Parameters
        ----------
        next_ids
            Ids, [boundary, choice].

        Returns
        -------
        LogprobArray
            Nats, [boundary, choice]; NaN for an id whose log-probability is not known there.
        """
        count = len(next_ids)
        known = known_logprobs(self.next_ids[None, :count], self.logprobs[None, :count], next_ids[None])
        return known[0]  # type: ignore[no-any-return] # a row of an array

    def cut(self, length: int, prompt_length: int) -> StoredRow:
        """Return the row's first `length` tokens of reasoning, as a row."""
        boundaries = length + 1
        return StoredRow.alone(
            self.ids[:length],
            self.slots[: prompt_length + length],
            self.next_ids[:boundaries],
            self.logprobs[:boundaries],
        )


class Sources:
    """What each of several rows continues from, as arrays.

    Parameters
    ----------
    rows
        A stored row for each, or ``None`` where there is none.
    """

    def __init__(self, rows: Sequence[StoredRow | None]) -> None:
        self.rows = rows
        blocks: dict[int, tuple[RowBlock, list[int], list[int]]] = {}
        for index, row in enumerate(rows):
            if row is not None:
                part = blocks.get(id(row.block))
                if part is None:
                    part = blocks[id(row.block)] = (row.block, [], [])
                part[1].append(index)
                part[2].append(row.place)
        # Nearly always one block, or few: the rows of the last step, and the base.
        self._parts = [(block, np.array(where), np.array(places)) for block, where, places in blocks.values()]

    def part(self, chosen: Sequence[int]) -> Sources:
        """Return the sources of some of the rows, by their index."""
        return Sources([self.rows[index] for index in chosen])

    @property
    def missing(self) -> npt.NDArray[np.bool_]:
        """Which rows have no source."""
        missing = np.ones(len(self.rows), dtype=bool)
        for _, where, _ in self._parts:
            missing[where] = False
        return missing

    @property
    def choices(self) -> int:
        """The most tokens whose log-probabilities a source holds at a boundary; at least 1."""
        return max(1, *(int(block.next_ids.shape[2]) for block, _, _ in self._parts), 1)

    def ids(self, width: int) -> IntArray:
        """Return the first `width` tokens of each source, [row, token]; -1 beyond its end."""
        found = np.full((len(self.rows), width), -1, dtype=np.int64)
        for block, where, places in self._parts:
            end = min(width, block.ids.shape[1])
            found[where, :end] = block.ids[places, :end]
        return found

    def slots(self, width: int) -> IntArray:
        """Return the first `width` slots of each source, [row, position]; 0 beyond its end."""
        found = np.zeros((len(self.rows), width), dtype=np.int64)
        for block, where, places in self._parts:
            end = min(width, block.slots.shape[1])
            found[where, :end] = block.slots[places, :end]
        return found

    def boundaries(self, width: int) -> tuple[IntArray, LogprobArray]:
        """Return the tokens that may come next at the first `width` boundaries, and their log-probabilities.

        Returns
        -------
        next_ids, logprobs
            [row, boundary, choice]; -1 and NaN beyond a source's end or choices.
        """
        shape = (len(self.rows), width, self.choices)
        next_ids, logprobs = np.full(shape, -1, dtype=np.int64), np.full(shape, np.nan, dtype=np.float32)
        for block, where, places in self._parts:
            end, choices = min(width, block.next_ids.shape[1]), block.next_ids.shape[2]
            next_ids[where, :end, :choices] = block.next_ids[places, :end]
            logprobs[where, :end, :choices] = block.logprobs[places, :end]
        return next_ids, logprobs

    def first_choices(self, width: int) -> LogprobArray:
        """Return the log-probability of the token that follows at the first `width` boundaries, [row, boundary]."""
        logprobs = np.full((len(self.rows), width), np.nan, dtype=np.float32)
        for block, where, places in self._parts:
            end = min(width, block.logprobs.shape[1])
            logprobs[where, :end] = block.logprobs[places, :end, 0]
        return logprobs

    def knows(self, tokens: IntArray, boundaries: IntArray) -> npt.NDArray[np.bool_]:
        """Return whether each source knows the log-probability of a token at a boundary of its own, [row]."""
        known = np.zeros(len(self.rows), dtype=bool)
        for block, where, places in self._parts:
            at = boundaries[where]
            is_there = (block.next_ids[places, at] == tokens[where, None]) & ~np.isnan(block.logprobs[places, at])
            known[where] = is_there.any(axis=1)
        return known

    def all_slots(self) -> IntArray:
        """Return the slots of all sources; one that several use is there as often."""
        return np.concatenate([np.zeros(0, dtype=np.int64), *(block.slots[at].ravel() for block, _, at in self._parts)])


def known_logprobs(source_ids: IntArray, source_logprobs: LogprobArray, next_ids: IntArray) -> LogprobArray:
    """Return what sources know of some tokens.

    Parameters
    ----------
    source_ids, source_logprobs
        The tokens that each source knows of, and their log-probabilities, [row, boundary, choice of the source].
    next_ids
        The tokens, [row, boundary, choice].

    Returns
    -------
    LogprobArray
        Nats, [row, boundary, choice]; NaN for a token whose log-probability is not known there.
    """
    known = np.full(next_ids.shape, np.nan, dtype=np.float32)
    for choice in range(next_ids.shape[2]):
        for other in range(source_ids.shape[2]):
            is_same = source_ids[..., other] == next_ids[..., choice]
            values = np.where(is_same, source_logprobs[..., other], np.float32(np.nan))
            np.fmax(known[..., choice], values, out=known[..., choice])  # which ignores NaN
    return known


def common_prefix(first: IntArray, second: IntArray) -> int:
    """Return how many ids two sequences have in common, counted from the first one.

    Examples
    --------
    >>> common_prefix(np.array([5, 6, 7]), np.array([5, 6, 8, 9]))
    2
    """
    length = min(len(first), len(second))
    differs = first[:length] != second[:length]
    return int(differs.argmax()) if differs.any() else length


def common_prefixes(ids: IntArray, others: IntArray) -> IntArray:
    """Return how many first tokens rows have in common with others, [row]; others are [row, token] or [1, token]."""
    width = min(ids.shape[1], others.shape[1])
    differs = np.ones((len(ids), width + 1), dtype=bool)
    np.not_equal(ids[:, :width], others[:, :width], out=differs[:, :width])
    shared: IntArray = differs.argmax(axis=1)
    return shared
