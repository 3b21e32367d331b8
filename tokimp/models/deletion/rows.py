"""Rows that were read, stored so that the next step can continue from them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from transformers.cache_utils import DynamicCache

from tokimp.chains.arrays import IntArray
from tokimp.models.deletion.key_value_pool import KeyValuePool
from tokimp.models.deletion.step import Deletion, DeletionStep
from tokimp.models.deletion.stored_rows import LogprobArray, RowBlock, Sources, StoredRow, common_prefixes


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
            self.pool.release(Sources([self.base, *self._rows.values()]).all_slots())
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
        stored = [old_base, *self._rows.values()]
        shared = common_prefixes(Sources(stored).ids(len(kept_ids)), kept_ids[None])
        closest = int(shared.argmax())
        self.base = stored[closest].cut(int(shared[closest]), len(self._prompt))
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
        slots = np.concatenate([shared_slots, new_slots])
        self.base = StoredRow.alone(base.ids, slots, base.next_ids, base.logprobs)

    def replace_base(self, base: StoredRow, first: int) -> None:
        """Replace the base by one whose slots are written; those before `first` are shared, the others its own."""
        self.pool.hold(base.slots[:first])
        if self.base is not None:
            self.pool.release(self.base.slots)
        self.base = base

    def adopt_rows(self, deletions: list[Deletion], block: RowBlock, first: IntArray) -> npt.NDArray[np.bool_]:
        """Store rows whose slots are written, as many as there is room for.

        Parameters
        ----------
        deletions, block
            The rows, by their deletions.
        first
            For each, its first slot that it shares with no other, [row]; from there on the slots become its own.

        Returns
        -------
        npt.NDArray[np.bool_]
            Which were stored, [row]. The slots of the others stay with the caller.
        """
        adopted = np.array([bool(deletion) for deletion in deletions])
        if self.pool.used > self._max_positions:
            for place, deletion in enumerate(deletions):
                adopted[place] = self._adopt_row(deletion, StoredRow(block, place), int(first[place]))
            return adopted
        is_shared = (np.arange(block.slots.shape[1]) < first[:, None]) & adopted[:, None]
        self.pool.hold(block.slots[is_shared])
        older = [self._rows.pop(deletion, None) for deletion in deletions]
        self.pool.release(Sources(older).all_slots())
        for place in np.flatnonzero(adopted).tolist():
            self._rows[deletions[place]] = StoredRow(block, place)
        return adopted

    def _adopt_row(self, deletion: Deletion, row: StoredRow, first: int) -> bool:
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
        boundary = np.array([self.base.shared_with(ids)])
        self.add_known(boundary, next_ids[boundary, 0], logprobs[boundary, 0])

    def add_known(self, boundaries: IntArray, tokens: IntArray, logprobs: LogprobArray) -> None:
        """Add to the base the log-probabilities of tokens at boundaries, where it asks for them and lacks them.

        Parameters
        ----------
        boundaries, tokens, logprobs
            [prediction]; of several for one token at one boundary the first counts.
        """
        assert self.base is not None  # noqa: S101 - rows are read after the base
        next_ids, known = self.base.next_ids, self.base.logprobs
        # Where an index stands more than once, the last value is written: so the first one, from the back.
        boundaries, tokens, logprobs = boundaries[::-1], tokens[::-1], logprobs[::-1]
        for choice in range(known.shape[1]):
            lacks = (next_ids[boundaries, choice] == tokens) & np.isnan(known[boundaries, choice])
            lacks &= ~np.isnan(logprobs)
            known[boundaries[lacks], choice] = logprobs[lacks]

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
            own = np.concatenate([shared_slots, slots])
            self._rows[deletion] = StoredRow.alone(row.ids, own, row.next_ids, row.logprobs)
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
