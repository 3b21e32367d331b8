"""Rows of a step as packs: all of them in one call of the model, whatever their lengths.

What is read of a row, and from which source it continues, is decided as for batches (`reading`). Two things differ. A
batch needs rows of one length that start at one place; a pack takes each row from its own start to its own end. And
everything that is done for a row is done for all rows of one length at once, in arrays: on a GPU, the time to prepare
a call one row at a time would be longer than the call.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import torch

from tokimp.chains.arrays import IntArray
from tokimp.contracts.objective import LogprobTensors
from tokimp.models.batching import memory_failure
from tokimp.models.deletion.reading import HELD_PER_READ, Attempt, MemoryShortage
from tokimp.models.deletion.row_grid import RowGrid, RowGroup, common_prefixes, shared_lengths
from tokimp.models.deletion.rows import LogprobArray, StoredRow
from tokimp.models.packs.pack import Pack


class PackedAttempt(Attempt):
    """One attempt to read all rows of a step that have no scores yet, in packs."""

    def run(self) -> MemoryShortage | None:
        """Read the rows; return ``None`` if all were read, or the pack for which memory did not suffice."""
        groups = self._by_length()
        if shortage := self._extend_base_for(groups):
            return shortage
        chosen = [self._choose_sources(rows) for rows in groups]
        waiting = [row for rows in groups for row in rows]
        if reason := memory_failure(lambda: self._reserve(waiting)):
            return MemoryShortage(1, 0, reason)
        for pack in self._packs(chosen):
            if reason := memory_failure(lambda pack=pack: self._read_pack(pack)):  # type: ignore[misc] # a default
                read = sum(int(self._read_lengths(rows).sum()) for rows in pack)
                return MemoryShortage(sum(len(rows.rows) for rows in pack), read, reason)
        return None

    def _by_length(self) -> list[list[int]]:
        """Return the waiting rows, those of one length together, each group in order."""
        groups = defaultdict(list)
        for row in sorted(self._step.waiting):
            groups[len(self._row_ids[row])].append(row)
        return [groups[length] for length in sorted(groups, reverse=True)]

    # -- where rows start ---------------------------------------------------------------------------------------------
    def _extend_base_for(self, groups: list[list[int]]) -> MemoryShortage | None:
        """Read the base as far as rows continue from it that have no better source, unless it is stored that far."""
        end, base = 0, self._bank.base
        for rows in groups:
            ids = self._ids(rows)
            shared = common_prefixes(ids, self._kept_ids[None])
            better = self._reusable_of(self._older(rows), ids)
            end = max(end, int(shared[shared > better].max(initial=0)))
        if base is not None and end <= self._reusable(base, self._kept_ids):
            return None
        start = self._start(base, self._kept_ids, end)
        if reason := memory_failure(lambda: self._read_base(start, end)):
            return MemoryShortage(1, self._prompt_length + end if base is None else end - start, reason)
        return None

    def _ids(self, rows: list[int]) -> IntArray:
        return np.stack([self._row_ids[row] for row in rows])

    def _older(self, rows: list[int]) -> list[StoredRow | None]:
        return [self._bank.row(self._step.deletions[row]) for row in rows]

    def _choose_sources(self, rows: list[int]) -> RowGroup:
        """Let each row continue from the base or from its older version, whichever reaches further."""
        base, older, ids = self._bank.base, self._older(rows), self._ids(rows)
        assert base is not None  # noqa: S101 - it was read before the rows
        bases: list[StoredRow | None] = [base] * len(rows)
        shared_with_base, shared_with_older = shared_lengths(bases, ids), shared_lengths(older, ids)
        starts, older_starts = (self._starts(sources, ids) for sources in (bases, older))
        from_older = older_starts > starts
        return RowGroup(
            rows=rows,
            positions=np.stack([self._step.rows[row] for row in rows]),
            ids=ids,
            sources=[
                old if old is not None and better else base for old, better in zip(older, from_older, strict=True)
            ],
            starts=np.where(from_older, older_starts, starts),
            shared=np.where(from_older, shared_with_older, shared_with_base),
            shared_with_base=shared_with_base,
        )

    def _starts(self, sources: list[StoredRow | None], ids: IntArray) -> IntArray:
        """Return the first token that has to be read of each row, given its source; -2 where there is no source.

        See `Attempt._start`: a token earlier, if the first prediction is needed and not known.
        """
        step, length = self._step, ids.shape[1]
        starts = self._reusable_of(sources, ids)
        following = np.concatenate([ids, np.full((len(ids), 1), step.answer[0])], axis=1)
        needed = following[np.arange(len(ids)), starts]
        known = np.ones(len(ids), dtype=bool)
        for row, (source, start) in enumerate(zip(sources, starts.tolist(), strict=True)):
            if source is None or (start < length and not step.reads_reasoning):
                continue
            choices, values = source.next_ids[start].tolist(), source.logprobs[start].tolist()
            there = {choice for choice, value in zip(choices, values, strict=True) if value == value}  # noqa: PLR0124 - NaN
            known[row] = needed[row] in there
            if start == length and step.wrong_answer is not None:
                known[row] &= int(step.wrong_answer[0]) in there
        missing = np.array([source is None for source in sources])
        chosen: IntArray = np.where(missing, -2, starts - ~known)
        return chosen

    def _reusable_of(self, sources: list[StoredRow | None], ids: IntArray) -> IntArray:
        """Return how many of each row's first tokens can be taken from its source; 0 where there is none."""
        shared = shared_lengths(sources, ids)
        if not self._step.reads_reasoning:
            return shared
        values = np.full((len(ids), ids.shape[1] + 1), np.nan, dtype=np.float32)
        for row, source in zip(values, sources, strict=True):
            if source is not None:
                count = min(len(source.ids), ids.shape[1])
                row[:count] = source.logprobs[:count, 0]
        reusable: IntArray = np.minimum(shared, np.isnan(values).argmax(axis=1))
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
        bank.replace_base(StoredRow(ids, slots, next_ids, logprobs), shared)

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
        stored = [self._store_grid(grid) for grid in grids]
        everything = np.concatenate(taken)
        pool.release(np.setdiff1d(everything, np.concatenate(stored), assume_unique=True))
        for grid in grids:
            begin = self._store_scores(grid, values, begin)

    def _store_grid(self, grid: RowGrid) -> IntArray:
        """Store rows without their answers, of which later steps have no use; return the slots that they now own."""
        rows, boundaries, prompt = grid.rows, grid.rows.ids.shape[1] + 1, self._prompt_length
        slots = grid.stored_slots()
        own: list[IntArray] = [np.zeros(0, dtype=np.int64)]
        for place, row in enumerate(rows.rows):
            boundary, first = int(rows.shared_with_base[place]), prompt + int(rows.shared[place])
            next_ids, logprobs = grid.next_ids[place], grid.logprobs[place]
            self._bank.add_known(boundary, int(next_ids[boundary, 0]), logprobs[boundary, 0])
            stored = StoredRow(rows.ids[place], slots[place], next_ids[:boundaries], logprobs[:boundaries])
            if self._bank.adopt_row(self._step.deletions[row], stored, first):
                own.append(slots[place, first:])
        return np.concatenate(own)

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
