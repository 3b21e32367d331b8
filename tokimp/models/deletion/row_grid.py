"""Rows of one length as arrays, so that what is done for a row is done for all of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tokimp.chains.arrays import IntArray
from tokimp.models.deletion.step import DeletionStep
from tokimp.models.deletion.stored_rows import LogprobArray, RowBlock, Sources, known_logprobs
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
    sources: Sources
    starts: IntArray
    shared: IntArray
    shared_with_base: IntArray

    def part(self, chosen: Sequence[int]) -> RowGroup:
        """Return some of the rows, by their place among these."""
        if len(chosen) == len(self.rows):
            return self
        index = np.array(chosen, dtype=np.int64)
        return RowGroup(
            [self.rows[place] for place in chosen],
            self.positions[index],
            self.ids[index],
            self.sources.part(chosen),
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
        width = self.next_ids.shape[1]
        column = np.arange(width)
        self._is_read = column >= rows.starts[:, None] + 1
        first = rows.starts + 1 if step.reads_reasoning else np.maximum(rows.starts + 1, rows.ids.shape[1])
        self._is_scored = column >= first[:, None]
        self._text = step.text(rows.positions)[:, :width]
        self.logprobs = self._known()
        self._sources = rows.sources.slots(self._prompt + rows.ids.shape[1])

    @property
    def count(self) -> int:
        """Positions that are read."""
        return int(self._is_read.sum())

    def _known(self) -> LogprobArray:
        """Return what the sources know at boundaries up to a row's start, [row, boundary, choice]; else NaN."""
        starts, known = self.rows.starts, np.full(self.next_ids.shape, np.nan, dtype=np.float32)
        end = min(self.next_ids.shape[1], int(starts.max()) + 1)
        ids, values = self.rows.sources.boundaries(end)
        values[np.arange(end) > starts[:, None]] = np.nan
        known[:, :end] = known_logprobs(ids, values, self.next_ids[:, :end])
        return known

    def pack(self, slots: IntArray) -> Pack:
        """Return what is read of the rows; `slots` take its keys and values, [position]."""
        count, width = self._is_read.shape
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

    def stored(self) -> RowBlock:
        """Return the rows without their answers, to store; their slots are those of prompt and reasoning.

        A token that was read again only for what it predicts keeps the slot that it has in the row's source.
        """
        length, boundaries = self._sources.shape[1], self.rows.ids.shape[1] + 1
        from_source = np.arange(length) < self._prompt + self.rows.shared[:, None]
        slots = np.where(from_source, self._sources, self._keys[:, :length])
        return RowBlock(self.rows.ids, slots, self.next_ids[:, :boundaries], self.logprobs[:, :boundaries])

    def slots_to_release(self, adopted: npt.NDArray[np.bool_]) -> IntArray:
        """Return the slots that were written and that no stored row owns, [position].

        Parameters
        ----------
        adopted
            Which rows were stored, [row].
        """
        column = np.arange(self._is_read.shape[1])
        is_owned = (column > self.rows.shared[:, None]) & (column <= self.rows.ids.shape[1]) & adopted[:, None]
        slots: IntArray = self._keys[:, self._prompt - 1 :][self._is_read & ~is_owned]
        return slots
