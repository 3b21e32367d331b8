"""Rows that were read, stored so that the next step can continue from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from transformers.cache_utils import DynamicCache

from tokimp.chains.arrays import IntArray
from tokimp.models.deletion.key_value_pool import KeyValuePool
from tokimp.models.deletion.step import Deletion, DeletionStep

LogprobArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class StoredRow:
    """A prompt with some reasoning: where its keys and values are stored, and what was predicted along it.

    Attributes
    ----------
    ids
        The reasoning, [token].
    slots
        Slots of prompt and reasoning in a `KeyValuePool`, [position].
    next_ids
        At each boundary (before each token of the reasoning, and after the last one), the ids of tokens that may come
        next, [token + 1, choice]; see `DeletionStep.next_ids`.
    logprobs
        Their log-probabilities in nats, [token + 1, choice]; NaN where not known.
    """

    ids: IntArray
    slots: IntArray
    next_ids: IntArray
    logprobs: LogprobArray

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
        is_same = self.next_ids[:count, None, :] == next_ids[:, :, None]  # [boundary, choice, choice of this row]
        values: LogprobArray = np.where(is_same, self.logprobs[:count, None, :], np.float32(np.nan))
        return np.fmax.reduce(values, axis=2)  # type: ignore[no-any-return] # fmax ignores NaN

    def cut(self, length: int, prompt_length: int) -> StoredRow:
        """Return the row's first `length` tokens of reasoning, as a row."""
        boundaries = length + 1
        return StoredRow(
            self.ids[:length],
            self.slots[: prompt_length + length],
            self.next_ids[:boundaries],
            self.logprobs[:boundaries],
        )


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


class RowBank:
    """The rows stored from the last steps, within a limit of memory: the base, and what deletions left.

    A row is found again by its deletion, and used as far as its ids agree with the new row's. So nothing is assumed
    about the order in which deletions are asked for. Keys and values that rows share are stored once.

    Attributes
    ----------
    pool
        Keys and values.
    base
        The chain that is kept, as far as it was read; ``None`` before anything was read.

    Parameters
    ----------
    cache_memory
        The most bytes of keys and values to store. The base is stored in any case.
    """

    def __init__(self, cache_memory: int, shared_pool: KeyValuePool | None = None) -> None:
        self._memory = cache_memory
        self._shared_pool = shared_pool
        self.pool = KeyValuePool() if shared_pool is None else shared_pool
        self.base: StoredRow | None = None
        self._rows: dict[Deletion, StoredRow] = {}
        self.clear()

    def clear(self) -> None:
        """Drop everything that is stored."""
        if self._shared_pool is None:
            self.pool = KeyValuePool()
        else:
            for row in ([] if self.base is None else [self.base]) + list(self._rows.values()):
                self.pool.release(row.slots)
        self.base, self._rows = None, {}
        self._prompt = np.zeros(0, dtype=np.int64)

    def begin(self, step: DeletionStep) -> None:
        """Prepare for a step: find its base among the stored rows, and drop the rows that it cannot use.

        The new base is the stored row that agrees longest with the chain that is kept now. After a step of greedy
        pruning that is the row of the deletion that was made, so nothing of the base has to be read again.

        Everything is dropped where another chain begins. So a run's cost and rounding do not depend on earlier runs.
        """
        if self.base is None or step.nothing_deleted or not np.array_equal(self._prompt, step.prompt):
            self.clear()
            self._prompt = step.prompt
            return
        kept_ids, old_base = step.ids(step.kept), self.base
        closest = max([old_base, *self._rows.values()], key=lambda row: row.shared_with(kept_ids))
        self.base = closest.cut(closest.shared_with(kept_ids), len(self._prompt))
        self.pool.hold(self.base.slots)
        self.pool.release(old_base.slots)
        kept = set(step.kept.tolist())
        for deletion in [deletion for deletion in self._rows if not kept.issuperset(deletion)]:
            self._drop(deletion)

    def row(self, deletion: Deletion) -> StoredRow | None:
        """Return the row that was last read for a deletion, or ``None`` if it is not stored."""
        return self._rows.get(deletion)

    def store_base(self, base: StoredRow, cache: DynamicCache, first: int) -> None:
        """Replace the base by a longer one.

        Parameters
        ----------
        base
            The new base. Its slots cover at least the positions before `first`; the others get new slots.
        cache
            The keys and values of the new base, in row 0.
        first
            The first position, prompt included, whose keys and values are new.
        """
        count = len(self._prompt) + len(base.ids) - first
        shared_slots, new_slots = base.slots[:first], self.pool.allocate(count)
        self.pool.write(new_slots, cache, np.zeros(count, dtype=np.int64), np.arange(first, first + count))
        self.pool.hold(shared_slots)
        if self.base is not None:
            self.pool.release(self.base.slots)
        self.base = StoredRow(base.ids, np.concatenate([shared_slots, new_slots]), base.next_ids, base.logprobs)

    def replace_base(self, base: StoredRow, first: int) -> None:
        """Replace the base by one whose slots are written; those before `first` are shared, the others its own."""
        self.pool.hold(base.slots[:first])
        if self.base is not None:
            self.pool.release(self.base.slots)
        self.base = base

    def adopt_row(self, deletion: Deletion, row: StoredRow, first: int) -> bool:
        """Store a row whose slots are written, unless there is no room for it.

        Parameters
        ----------
        deletion, row
            The row, by its deletion.
        first
            Its first slot that it shares with no other; from there on the slots become its own.

        Returns
        -------
        bool
            Whether it was stored. If not, its slots stay with the caller.
        """
        shared = row.slots[:first]
        self.pool.hold(shared)
        self._drop(deletion)  # the older version of this row
        if not deletion or self.pool.used > self._max_positions:
            self.pool.release(shared)
            return False
        self._rows[deletion] = row
        return True

    def add_prediction(self, ids: IntArray, next_ids: IntArray, logprobs: LogprobArray) -> None:
        """Add to the base what a row predicted where it leaves the base, as other rows may need it.

        Parameters
        ----------
        ids
            The row's reasoning, [token].
        next_ids, logprobs
            The row's own, [boundary, choice].
        """
        assert self.base is not None  # noqa: S101 - rows are read after the base
        boundary = self.base.shared_with(ids)
        self.add_known(boundary, int(next_ids[boundary, 0]), logprobs[boundary, 0])

    def add_known(self, boundary: int, token: int, logprob: np.float32) -> None:
        """Add to the base the log-probability of a token at a boundary, if the base asks for it and lacks it."""
        assert self.base is not None  # noqa: S101 - rows are read after the base
        known = self.base.logprobs[boundary]
        known[(self.base.next_ids[boundary] == token) & np.isnan(known)] = logprob

    def reserve(self, positions: int) -> None:
        """Make room for this many positions beside the base, as far as the memory limit allows."""
        base_positions = 0 if self.base is None else len(self.base.slots)
        self.pool.reserve(min(base_positions + positions, self._max_positions))

    def store_rows(self, rows: dict[Deletion, StoredRow], first: list[int], cache: DynamicCache) -> None:
        """Store rows that were read in one batch, as many as there is room for.

        Parameters
        ----------
        rows
            The rows by their deletion. The slots are those of a row's source, as far as the two agree.
        first
            For each row, the first position, prompt included, that does not agree with its source.
        cache
            Keys and values of the batch, one row for each of `rows`, in their order.
        """
        new_slots, cache_rows, cache_positions = [], [], []
        for cache_row, ((deletion, row), begin) in enumerate(zip(rows.items(), first, strict=True)):
            shared_slots = row.slots[:begin]
            self.pool.hold(shared_slots)
            self._drop(deletion)  # the older version of this row; slots that it shares with the new one are held
            count = len(self._prompt) + len(row.ids) - begin
            if not deletion or self.pool.used + count > self._max_positions:
                self.pool.release(shared_slots)
                continue
            slots = self.pool.allocate(count)
            self._rows[deletion] = StoredRow(row.ids, np.concatenate([shared_slots, slots]), row.next_ids, row.logprobs)
            new_slots.append(slots)
            cache_rows.append(np.full(count, cache_row))
            cache_positions.append(np.arange(begin, begin + count))
        if new_slots:
            self.pool.write(
                np.concatenate(new_slots), cache, np.concatenate(cache_rows), np.concatenate(cache_positions)
            )

    def give_up_memory(self) -> bool:
        """Drop everything, and store at most half as much from now on; return whether any row was stored."""
        had_rows = bool(self._rows)
        if had_rows:
            self._memory = min(self._memory, self.pool.used * self.pool.position_bytes) // 2
        prompt = self._prompt
        self.clear()
        self._prompt = prompt
        return had_rows

    @property
    def _max_positions(self) -> int:
        """The most positions that may be stored, the base's included."""
        return self._memory // max(1, self.pool.position_bytes)

    def _drop(self, deletion: Deletion) -> None:
        row = self._rows.pop(deletion, None)
        if row is not None:
            self.pool.release(row.slots)
