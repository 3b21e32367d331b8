"""Rows that were read, and what of them the next step need not read again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from transformers.cache_utils import DynamicCache

from tokimp.chains.arrays import IntArray
from tokimp.models.deletion.key_value_pool import KeyValuePool
from tokimp.models.deletion.step import DeletionStep

LogprobArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class ReadRow:
    """A prompt with some reasoning whose keys and values are held, and what was predicted along it.

    Attributes
    ----------
    ids
        Of the reasoning, [token].
    slots
        Of prompt and reasoning, in a `KeyValuePool`, [position].
    asked, logprobs
        At each boundary (before each token of reasoning, and after the last), the ids whose log-probability was asked
        for, and these, in nats; NaN where it is not known. [token + 1, choice]
    """

    ids: IntArray
    slots: IntArray
    asked: IntArray
    logprobs: LogprobArray

    def shared_with(self, ids: IntArray) -> int:
        """Return how many tokens this row and some ids have in common, from the first on."""
        length = min(len(self.ids), len(ids))
        differs = self.ids[:length] != ids[:length]
        return int(differs.argmax()) if differs.any() else length

    def known(self, asked: IntArray) -> LogprobArray:
        """Return the log-probabilities of ids, [boundary, choice], at the row's first boundaries; NaN if not known."""
        count = len(asked)
        same = self.asked[:count, None, :] == asked[:, :, None]
        values: LogprobArray = np.where(same, self.logprobs[:count, None, :], np.float32(np.nan))
        return np.fmax.reduce(values, axis=2)  # type: ignore[no-any-return] # fmax leaves NaN aside

    def cut(self, length: int, prompt: int) -> ReadRow:
        """Return the first `length` tokens of the row."""
        end = length + 1
        return ReadRow(self.ids[:length], self.slots[: prompt + length], self.asked[:end], self.logprobs[:end])


class RowBank:
    """What was read in the last steps: the chain as it is kept (the base), and the rows that deletions left.

    A row is found again by what was deleted, and used as far as its ids agree: nothing is assumed of the order in
    which deletions are asked for. The keys and values that rows share are held once.

    Attributes
    ----------
    pool
        Keys and values.
    base
        What is kept, as far as it was read; ``None`` before anything was.
    """

    def __init__(self, cache_memory: int) -> None:
        self._memory = cache_memory
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.pool = KeyValuePool()
        self.base: ReadRow | None = None
        self._prompt = np.zeros(0, dtype=np.int64)
        self._rows: dict[tuple[int, ...], ReadRow] = {}

    def begin(self, step: DeletionStep) -> None:
        """Make the row that agrees most with what is kept now the base, and drop what can serve no more.

        After a step of greedy pruning that is the row of the unit that went, so nothing of the base is read again.
        """
        if self.base is None or step.nothing_deleted or not np.array_equal(self._prompt, step.prompt):
            self.clear()
            self._prompt = step.prompt
            return
        ids, before = step.ids(step.kept), self.base
        best = max([before, *self._rows.values()], key=lambda row: row.shared_with(ids))
        self.base = best.cut(best.shared_with(ids), len(self._prompt))
        self.pool.hold(self.base.slots)
        self.pool.release(before.slots)
        kept = set(step.kept.tolist())
        for candidate in [candidate for candidate in self._rows if not kept.issuperset(candidate)]:
            self._drop(candidate)

    def row(self, candidate: tuple[int, ...]) -> ReadRow | None:
        """Return the row last read for a deletion, if it is still held."""
        return self._rows.get(candidate)

    def keep_base(self, base: ReadRow, cache: DynamicCache, first: int) -> None:
        """Hold a longer base: new slots from its position `first` on (prompt included), read from row 0 of a cache."""
        count = len(self._prompt) + len(base.ids) - first
        shared, slots = base.slots[:first], self.pool.allocate(count)
        self.pool.write(slots, cache, np.zeros(count, dtype=np.int64), np.arange(first, first + count))
        self.pool.hold(shared)
        if self.base is not None:
            self.pool.release(self.base.slots)
        self.base = ReadRow(base.ids, np.concatenate([shared, slots]), base.asked, base.logprobs)

    def learn(self, ids: IntArray, asked: IntArray, logprobs: LogprobArray) -> None:
        """Add to the base the prediction of the token by which a row departs from it, as other rows may need it."""
        assert self.base is not None  # noqa: S101 - rows are read after the base
        place = self.base.shared_with(ids)
        here = self.base.logprobs[place]
        here[(self.base.asked[place] == asked[place, 0]) & np.isnan(here)] = logprobs[place, 0]

    def reserve(self, positions: int) -> None:
        """Make room for this many positions beside the base, as far as memory for rows goes."""
        base = 0 if self.base is None else len(self.base.slots)
        self.pool.reserve(min(base + positions, self._limit))

    def keep_rows(self, rows: dict[tuple[int, ...], ReadRow], first: list[int], cache: DynamicCache) -> None:
        """Hold rows read in one batch, as many as there is room for.

        Parameters
        ----------
        rows
            By what was deleted. The slots are those of the row's source, as far as the two agree.
        first
            For each row the first position (prompt included) that is new.
        cache
            Keys and values of the batch, one row for each of `rows`, in their order.
        """
        slots, places, positions = [], [], []
        for place, ((candidate, row), begin) in enumerate(zip(rows.items(), first, strict=True)):
            self.pool.hold(row.slots[:begin])
            self._drop(candidate)  # its end is read anew; the slots that stay are held
            count = len(self._prompt) + len(row.ids) - begin
            if not candidate or self.pool.used + count > self._limit:
                self.pool.release(row.slots[:begin])
                continue
            new = self.pool.allocate(count)
            whole = np.concatenate([row.slots[:begin], new])
            self._rows[candidate] = ReadRow(row.ids, whole, row.asked, row.logprobs)
            slots.append(new)
            places.append(np.full(count, place))
            positions.append(np.arange(begin, begin + count))
        if slots:
            self.pool.write(np.concatenate(slots), cache, np.concatenate(places), np.concatenate(positions))

    def give_up_memory(self) -> bool:
        """Drop everything, and hold at most half as much from now on; return whether any row was held."""
        held = bool(self._rows)
        if held:
            self._memory = min(self._memory, self.pool.used * self.pool.position_bytes) // 2
        prompt = self._prompt
        self.clear()
        self._prompt = prompt
        return held

    @property
    def _limit(self) -> int:
        """The most positions held, the base's included."""
        return self._memory // max(1, self.pool.position_bytes)

    def _drop(self, candidate: tuple[int, ...]) -> None:
        row = self._rows.pop(candidate, None)
        if row is not None:
            self.pool.release(row.slots)
