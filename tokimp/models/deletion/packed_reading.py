"""Rows of a step as packs: all of them in one call of the model, whatever their lengths.

What is read of a row, and from which source it continues, is decided as for batches (`reading`). Two things differ. A
batch needs rows of one length that start at one place; a pack takes each row from its own start to its own end. And
everything that is done for a row is done for all rows of one length at once, in arrays: on a GPU, the time to prepare
a call one row at a time would be longer than the call.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import torch

from tokimp.chains.arrays import IntArray
from tokimp.contracts.objective import LogprobTensors
from tokimp.models.batching import memory_failure
from tokimp.models.deletion.reading import HELD_PER_READ, Attempt, MemoryShortage
from tokimp.models.deletion.row_grid import RowGrid, RowGroup
from tokimp.models.deletion.stored_rows import LogprobArray, Sources, StoredRow, common_prefixes
from tokimp.models.packs.pack import Pack


@dataclass(frozen=True)
class _WaitingRows:
    """Rows of one length that have no scores yet.

    Attributes
    ----------
    rows
        Their indices in the step.
    positions, ids
        The reasoning that is left, [row, token].
    older
        What the same deletions left when they were last read.
    shared_with_older, reusable
        How many first tokens each has in common with its older version, and how many can be taken from it, [row].
    """

    rows: list[int]
    positions: IntArray
    ids: IntArray
    older: Sources
    shared_with_older: IntArray
    reusable: IntArray


class PackedAttempt(Attempt):
    """One attempt to read all rows of a step that have no scores yet, in packs."""

    def run(self) -> MemoryShortage | None:
        """Read the rows; return ``None`` if all were read, or the pack for which memory did not suffice."""
        groups = self._by_length()
        if shortage := self._extend_base_for(groups):
            return shortage
        chosen = [self._choose_sources(rows) for rows in groups]
        new_positions = sum(int((rows.ids.shape[1] - rows.shared_with_base).sum()) for rows in chosen)
        if reason := memory_failure(lambda: self._reserve(new_positions)):
            return MemoryShortage(1, 0, reason)
        for pack in self._packs(chosen):
            if reason := memory_failure(lambda pack=pack: self._read_pack(pack)):  # type: ignore[misc] # a default
                read = sum(int(self._read_lengths(rows).sum()) for rows in pack)
                return MemoryShortage(sum(len(rows.rows) for rows in pack), read, reason)
        return None

    def _by_length(self) -> list[_WaitingRows]:
        """Return the waiting rows, those of one length together, each group in order."""
        groups = defaultdict(list)
        for row in sorted(self._step.waiting):
            groups[len(self._step.rows[row])].append(row)
        return [self._waiting(groups[length]) for length in sorted(groups, reverse=True)]

    def _waiting(self, rows: list[int]) -> _WaitingRows:
        positions = self._step.positions_of(rows)
        ids = self._step.ids(positions)
        older = Sources([self._bank.row(self._step.deletions[row]) for row in rows])
        shared = common_prefixes(ids, older.ids(ids.shape[1]))
        return _WaitingRows(rows, positions, ids, older, shared, self._reusable_of(older, shared, ids.shape[1]))

    # -- where rows start ---------------------------------------------------------------------------------------------
    def _extend_base_for(self, groups: list[_WaitingRows]) -> MemoryShortage | None:
        """Read the base as far as rows continue from it that have no better source, unless it is stored that far."""
        end, base = 0, self._bank.base
        for rows in groups:
            shared = common_prefixes(rows.ids, self._kept_ids[None])
            end = max(end, int(shared[shared > rows.reusable].max(initial=0)))
        if base is not None and end <= self._reusable(base, self._kept_ids):
            return None
        start = self._start(base, self._kept_ids, end)
        if reason := memory_failure(lambda: self._read_base(start, end)):
            return MemoryShortage(1, self._prompt_length + end if base is None else end - start, reason)
        return None

    def _choose_sources(self, rows: _WaitingRows) -> RowGroup:
        """Let each row continue from the base or from its older version, whichever reaches further."""
        base, ids = self._bank.base, rows.ids
        assert base is not None  # noqa: S101 - it was read before the rows
        bases = Sources([base] * len(rows.rows))
        shared_with_base = common_prefixes(ids, base.ids[None])
        starts = self._starts(bases, ids, self._reusable_of(bases, shared_with_base, ids.shape[1]))
        older_starts = self._starts(rows.older, ids, rows.reusable)
        from_older = older_starts > starts
        chosen = [old if better else base for old, better in zip(rows.older.rows, from_older.tolist(), strict=True)]
        return RowGroup(
            rows=rows.rows,
            positions=rows.positions,
            ids=ids,
            sources=Sources(chosen),
            starts=np.where(from_older, older_starts, starts),
            shared=np.where(from_older, rows.shared_with_older, shared_with_base),
            shared_with_base=shared_with_base,
        )

    def _starts(self, sources: Sources, ids: IntArray, reusable: IntArray) -> IntArray:
        """Return the first token that has to be read of each row, given its source; -2 where there is no source.

        See `Attempt._start`: a token earlier, if the first prediction is needed and not known.
        """
        step, length = self._step, ids.shape[1]
        following = np.concatenate([ids, np.full((len(ids), 1), step.answer[0])], axis=1)
        known = sources.knows(following[np.arange(len(ids)), reusable], reusable)
        at_the_end = reusable == length
        if not step.reads_reasoning:
            known |= ~at_the_end
        if step.wrong_answer is not None:
            known &= ~at_the_end | sources.knows(np.full(len(ids), step.wrong_answer[0]), reusable)
        chosen: IntArray = np.where(sources.missing, -2, reusable - ~known)
        return chosen

    def _reusable_of(self, sources: Sources, shared: IntArray, length: int) -> IntArray:
        """Return how many of each row's first tokens can be taken from its source; 0 where there is none."""
        if not self._step.reads_reasoning:
            return shared
        unknown = np.ones((len(shared), length + 1), dtype=bool)
        np.isnan(sources.first_choices(length), out=unknown[:, :length])
        reusable: IntArray = np.minimum(shared, unknown.argmax(axis=1))
        return reusable

    # -- packs --------------------------------------------------------------------------------------------------------
    def _read_lengths(self, rows: RowGroup) -> IntArray:
        """Return how many positions are read of each row, its answers included; their last tokens predict nothing."""
        wrong = self._step.wrong_answer
        answers = len(self._step.answer) - 1 + (0 if wrong is None else len(wrong) - 1)
        lengths: IntArray = rows.ids.shape[1] - rows.starts + answers
        return lengths

    def _packs(self, groups: list[RowGroup]) -> list[list[RowGroup]]:
        """Divide rows into packs within the budget of positions; what their rows hold takes memory as well."""
        most_read = self._decoder.budget.positions
        packs: list[list[RowGroup]] = []
        read = held = 0
        for rows in groups:
            part: list[int] = []
            for place, (own, start) in enumerate(
                zip(self._read_lengths(rows).tolist(), rows.starts.tolist(), strict=True)
            ):
                whole = self._prompt_length + start + own
                if not packs or read + own > most_read or held + whole > HELD_PER_READ * most_read:
                    if part:
                        packs[-1].append(rows.part(part))
                        part = []
                    packs.append([])
                    read = held = 0
                part.append(place)
                read, held = read + own, held + whole
            packs[-1].append(rows.part(part))
        return packs

    def _read_base(self, start: int, end: int) -> None:
        """Read the base from token `start` up to token `end`; the first time, with the prompt before it."""
        step, bank = self._step, self._bank
        ids = self._kept_ids[:end]
        next_ids = step.next_ids(step.kept[None])[0, : end + 1]
        logprobs = np.full(next_ids.shape, np.nan, dtype=np.float32)
        old: IntArray = np.zeros(0, dtype=np.int64)
        text, past, shared = np.concatenate([step.prompt, ids]), 0, 0
        if bank.base is not None:
            old, past = bank.base.slots, self._prompt_length + start
            shared = self._prompt_length + bank.base.shared_with(ids)
            text = np.concatenate([step.prompt[-1:], ids])[start + 1 :]
            logprobs[: start + 1] = bank.base.known_logprobs(next_ids[: start + 1])
        asked = next_ids[start + 1 :] if step.reads_reasoning else next_ids[:0]
        new = bank.pool.allocate(len(text))
        try:
            if len(text):
                pack = Pack(
                    ids=text,
                    positions=past + np.arange(len(text)),
                    row_starts=np.array([0, len(text)]),
                    new_slots=new,
                    key_slots=np.concatenate([old[:past], new]),
                    key_starts=np.array([0, past + len(text)]),
                    scored=np.arange(len(text) - len(asked), len(text)),
                    tokens=asked,
                )
                logprobs[len(next_ids) - len(asked) :] = self._decoder.read_pack(pack, bank.pool)
        except BaseException:
            bank.pool.release(new)
            raise
        # Tokens that were read again for what they predict keep the slots that they had.
        bank.pool.release(new[: shared - past])
        slots = np.concatenate([old[:shared], new[shared - past :]])
        bank.replace_base(StoredRow.alone(ids, slots, next_ids, logprobs), shared)

    def _read_pack(self, groups: list[RowGroup]) -> None:
        """Read some rows, and store their scores in the step and the rows in the bank."""
        pool, taken = self._bank.pool, list[IntArray]()
        try:
            grids = [RowGrid(self._step, rows) for rows in groups]
            packs: list[Pack] = []
            for grid in grids:
                taken.append(pool.allocate(grid.count))
                packs.append(grid.pack(taken[-1]))
            wrong = self._step.wrong_answer
            more = 0 if wrong is None else len(wrong) - 1
            for grid in grids if more else []:
                taken.append(pool.allocate(len(grid.rows.rows) * more))
                packs.append(grid.wrong_answer_pack(taken[-1]))
            packs = [pack for pack in packs if len(pack.ids)]
            values = self._decoder.read_pack(Pack.joined(packs), pool) if packs else np.zeros((0, 1), dtype=np.float32)
        except BaseException:
            for slots in taken:
                pool.release(slots)
            raise
        begin = 0
        for grid in grids:
            begin = grid.fill(values, begin)
        pool.release(np.concatenate([*map(self._store_grid, grids), *taken[len(grids) :]]))
        for grid in grids:
            begin = self._store_scores(grid, values, begin)

    def _store_grid(self, grid: RowGrid) -> IntArray:
        """Store rows without their answers, of which later steps have no use; return the slots that nobody owns."""
        rows, row = grid.rows, np.arange(len(grid.rows.rows))
        leaves = rows.shared_with_base  # where a row leaves the base, it predicts something that others may need
        self._bank.add_known(leaves, grid.next_ids[row, leaves, 0], grid.logprobs[row, leaves, 0])
        deletions = [self._step.deletions[index] for index in rows.rows]
        adopted = self._bank.adopt_rows(deletions, grid.stored(), self._prompt_length + rows.shared)
        return grid.slots_to_release(adopted)

    def _store_scores(self, grid: RowGrid, values: LogprobArray, begin: int) -> int:
        """Hand the log-probabilities of rows to the step; return where the values of the next wrong answers begin."""
        wrong, length = self._step.wrong_answer, grid.rows.ids.shape[1]
        answers, end = None, begin
        if wrong is not None:
            end = begin + len(grid.rows.rows) * (len(wrong) - 1)
            following = values[begin:end, 0].reshape(len(grid.rows.rows), -1)
            answers = torch.from_numpy(np.concatenate([grid.logprobs[:, length, -1:], following], axis=1))
        reasoning, answer = (torch.from_numpy(part) for part in np.split(grid.logprobs[..., 0], [length], axis=1))
        self._step.store(grid.rows.rows, LogprobTensors(reasoning, answer, answers))
        return end
