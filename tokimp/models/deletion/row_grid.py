"""Rows of one length as arrays, so that what is done for a row is done for all of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tokimp.chains.arrays import IntArray
from tokimp.models.deletion.rows import LogprobArray, StoredRow
from tokimp.models.deletion.step import DeletionStep
from tokimp.models.packs.pack import Pack


@dataclass(frozen=True)
class RowGroup:
    """Rows of one length, and what each continues from.

    Attributes
    ----------
    rows
        Their indices in the step.
    positions, ids
        The reasoning that is left, [row, token].
    sources
        What each row continues from.
    starts
        The first token that is read of each, [row]; -1 is the last token of the prompt.
    shared, shared_with_base
        How many tokens each has in common with its source, and with the base, [row].
    """

    rows: list[int]
    positions: IntArray
    ids: IntArray
    sources: list[StoredRow]
    starts: IntArray
    shared: IntArray
    shared_with_base: IntArray

    def part(self, chosen: Sequence[int]) -> RowGroup:
        """Return some of the rows, by their place among these."""
        index = np.array(chosen, dtype=np.int64)
        return RowGroup(
            [self.rows[place] for place in chosen],
            self.positions[index],
            self.ids[index],
            [self.sources[place] for place in chosen],
            self.starts[index],
            self.shared[index],
            self.shared_with_base[index],
        )


class RowGrid:
    """The rows of one length in a pack, as arrays with one column for each boundary.

    Column ``j`` of a row stands for the token before boundary ``j``: column 0 for the last token of the prompt, the
    others for the reasoning and the answer but for its last token. Reading that token predicts what follows there.
    """

    def __init__(self, step: DeletionStep, rows: RowGroup) -> None:
        self.rows, self._prompt = rows, len(step.prompt)
        self._wrong_answer = step.wrong_answer
        self.next_ids = step.next_ids(rows.positions)
        count, width, _ = self.next_ids.shape
        column = np.arange(width)
        self._is_read = column >= rows.starts[:, None] + 1
        first = rows.starts + 1 if step.reads_reasoning else np.maximum(rows.starts + 1, rows.ids.shape[1])
        self._is_scored = column >= first[:, None]
        self._text = step.text(rows.positions)[:, :width]
        self.logprobs = self._known()
        self._sources = np.zeros((count, self._prompt + rows.ids.shape[1]), dtype=np.int64)
        for held, source in zip(self._sources, rows.sources, strict=True):
            end = min(len(source.slots), len(held))
            held[:end] = source.slots[:end]

    @property
    def count(self) -> int:
        """Positions that are read."""
        return int(self._is_read.sum())

    def _known(self) -> LogprobArray:
        """Return what the sources know at boundaries up to a row's start, [row, boundary, choice]; else NaN."""
        # A source may come from a step that asked for fewer choices, or for more.
        choices = max(source.next_ids.shape[1] for source in self.rows.sources)
        shape = (*self.next_ids.shape[:2], choices)
        ids, values = np.full(shape, -1, dtype=np.int64), np.full(shape, np.nan, dtype=np.float32)
        for own_ids, own_values, source, start in zip(ids, values, self.rows.sources, self.rows.starts, strict=True):
            end, own = min(int(start) + 1, len(source.next_ids), shape[1]), source.next_ids.shape[1]
            own_ids[:end, :own], own_values[:end, :own] = source.next_ids[:end], source.logprobs[:end]
        is_same = ids[:, :, None, :] == self.next_ids[..., None]  # [row, boundary, choice, choice of the source]
        known = np.where(is_same, values[:, :, None, :], np.float32(np.nan))
        return np.fmax.reduce(known, axis=3)  # type: ignore[no-any-return] # fmax ignores NaN

    def pack(self, slots: IntArray) -> Pack:
        """Return what is read of the rows; `slots` take its keys and values, [position]."""
        count, width = self._is_read.shape
        self._slots = np.zeros((count, width), dtype=np.int64)
        self._slots[self._is_read] = slots
        # The key at a position after the prompt's last token is new from the row's start on.
        self._keys = np.zeros((count, self._prompt - 1 + width), dtype=np.int64)
        self._keys[:, : self._sources.shape[1]] = self._sources
        self._keys[:, self._prompt - 1 :][self._is_read] = slots
        lengths = self._is_read.sum(axis=1)
        reads = lengths > 0
        return Pack(
            ids=self._text[self._is_read],
            positions=np.broadcast_to(self._prompt - 1 + np.arange(width), (count, width))[self._is_read],
            row_starts=np.concatenate([[0], np.cumsum(lengths[reads])]),
            new_slots=slots,
            key_slots=self._keys[reads].ravel(),
            key_starts=self._keys.shape[1] * np.arange(int(reads.sum()) + 1),
            scored=np.flatnonzero(self._is_scored[self._is_read]),
            tokens=self.next_ids[self._is_scored],
        )

    def wrong_answer_pack(self, slots: IntArray) -> Pack:
        """Return the wrong answers but for their last tokens, each continuing its row's reasoning."""
        answer = self._wrong_answer
        assert answer is not None  # noqa: S101 - asked for where there is one
        count, length = len(self.rows.rows), self._prompt + self.rows.ids.shape[1]
        own = slots.reshape(count, -1)
        width = own.shape[1]
        keys = np.concatenate([self._keys[:, :length], own], axis=1)
        return Pack(
            ids=np.tile(answer[:-1], count),
            positions=np.tile(length + np.arange(width), count),
            row_starts=width * np.arange(count + 1),
            new_slots=slots,
            key_slots=keys.ravel(),
            key_starts=keys.shape[1] * np.arange(count + 1),
            scored=np.arange(width * count),
            tokens=np.repeat(np.tile(answer[1:], count)[:, None], self.next_ids.shape[2], axis=1),
        )

    def fill(self, values: LogprobArray, begin: int) -> int:
        """Take the rows' own values, from `begin` on; return where the next ones begin."""
        end = begin + int(self._is_scored.sum())
        self.logprobs[self._is_scored] = values[begin:end, : self.next_ids.shape[2]]
        return end

    def stored_slots(self) -> IntArray:
        """Return the slots of prompt and reasoning to store, [row, position].

        A token that was read again only for what it predicts keeps the slot that it has in the row's source.
        """
        length = self._sources.shape[1]
        from_source = np.arange(length) < self._prompt + self.rows.shared[:, None]
        return np.where(from_source, self._sources, self._keys[:, :length])


def shared_lengths(sources: list[StoredRow | None], ids: IntArray) -> IntArray:
    """Return how many tokens each row, [row, token], has in common with its source; 0 where there is none."""
    first = sources[0]
    if first is not None and all(source is first for source in sources):
        return common_prefixes(ids, first.ids[None])
    others = np.full((len(ids), ids.shape[1]), -1, dtype=np.int64)
    for row, source in zip(others, sources, strict=True):
        if source is not None:
            end = min(len(source.ids), len(row))
            row[:end] = source.ids[:end]
    return common_prefixes(ids, others)


def common_prefixes(ids: IntArray, others: IntArray) -> IntArray:
    """Return how many first tokens rows have in common with others, [row]; others are [row, token] or [1, token]."""
    width = min(ids.shape[1], others.shape[1])
    differs = np.ones((len(ids), width + 1), dtype=bool)
    differs[:, :width] = ids[:, :width] != others[:, :width]
    shared: IntArray = differs.argmax(axis=1)
    return shared
