"""Recompute each shortened chain only from the first token whose prefix changed; the package's docstring says how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from transformers.cache_utils import DynamicCache

from tokimp.chains.arrays import FloatArray, IntArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import Joint, LogprobTensors, Objective
from tokimp.contracts.scorer import DeletionScores
from tokimp.models.batching import memory_failure, release_memory, too_large
from tokimp.models.deletion.from_scratch import score_from_scratch
from tokimp.models.deletion.key_value_pool import new_cache, rewind
from tokimp.models.deletion.plan import DeletionBatch, check_deletions, plan_deletions
from tokimp.models.deletion.rows import RowBank
from tokimp.models.deletion.step import DeletionStep
from tokimp.models.deletion.stored_rows import LogprobArray, StoredRow, common_prefix

if TYPE_CHECKING:
    from tokimp.models.decoder import Decoder

# A batch takes memory for the keys and values of its whole rows, not only for the positions that are read. So many
# positions may be held for each position that may be read.
HELD_PER_READ = 4


class DeletionPass:
    """Scores of many deletions of one chain, step after step.

    Between steps it stores rows in a `RowBank`, as far as memory allows. A row that is not stored continues from the
    base instead, as in a first step.

    Parameters
    ----------
    decoder
        The model, with its limits on memory.
    """

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._bank = RowBank(decoder.cache_memory, decoder.pool)
        self._state = decoder.state.signature()

    def score(
        self, chain: TokenizedChain, kept: Sequence[int], candidates: Sequence[Sequence[int]], objective: Objective
    ) -> DeletionScores:
        """Return the scores of a step, in the order of `candidates`; see `Scorer.score_deletions`.

        Raises
        ------
        ScorerError
            If `kept` or a candidate is not a part of the reasoning, or a single row does not fit in memory.
        """
        check_deletions(chain, kept, candidates)
        step = DeletionStep(chain, kept, candidates, objective)
        self._read(step)
        return step.scores

    def logprobs(
        self, chain: TokenizedChain, kept: Sequence[int], candidates: Sequence[Sequence[int]], until: int | None
    ) -> FloatArray:
        """Return the log-probability of every token that is left; see `Scorer.deletion_logprobs`.

        Raises
        ------
        ScorerError
            If `kept` or a candidate is not a part of the reasoning that is read, or a single row does not fit in
            memory.
        """
        check_deletions(chain, kept[:until], candidates)
        step = DeletionStep(chain, kept, candidates, Joint(), until)
        self._read(step)
        return step.logprobs

    def _read(self, step: DeletionStep) -> None:
        if (state := self._decoder.state.signature()) != self._state:
            # What is stored was read by the model as it was before somebody changed it.
            self._bank.clear()
            self._state = state
        if not self._decoder.shares(step.longest):
            self._bank.clear()
            score_from_scratch(self._decoder, step)
            return
        from tokimp.models.deletion.packed_reading import PackedAttempt  # noqa: PLC0415 - it is made of this one

        # Looking for changes takes a while in each step, so it is done once.
        reads_packs = self._decoder.may_read_packs and not self._decoder.state.differs(state)
        attempt = PackedAttempt if reads_packs else Attempt
        if step.waiting:
            self._bank.begin(step)
        while step.waiting:
            shortage = attempt(self._decoder, self._bank, step).run()
            if shortage is not None:
                self._make_room(shortage)

    def _make_room(self, shortage: MemoryShortage) -> None:
        """After memory ran out, store fewer rows and read fewer positions at once; raise if neither is possible."""
        had_rows = self._bank.give_up_memory()
        release_memory()
        budget = self._decoder.budget
        if shortage.rows > 1:
            budget.positions = max(1, min(budget.positions, shortage.positions // 2))
        elif not had_rows:
            raise too_large(shortage.positions, shortage.reason)


@dataclass(frozen=True, slots=True)
class MemoryShortage:
    """A batch that did not fit in memory: its rows, the positions read of them, and what the error said."""

    rows: int
    positions: int
    reason: str


class Attempt:
    """One attempt to read all rows of a step that have no scores yet.

    First the base is read, as far as rows continue from it. Then each row gets a source, and rows are read in batches.
    """

    def __init__(self, decoder: Decoder, bank: RowBank, step: DeletionStep) -> None:
        self._decoder, self._bank, self._step = decoder, bank, step
        self._prompt_length = len(step.prompt)
        self._kept_ids = step.ids(step.kept)
        self._row_ids = [step.ids(row) for row in step.rows]
        self._source_of_row: dict[int, StoredRow] = {}

    def run(self) -> MemoryShortage | None:
        """Read the rows; return ``None`` if all were read, or the batch for which memory did not suffice."""
        if shortage := self._extend_base():
            return shortage
        rows = sorted(self._step.waiting)
        starts = [self._choose_source(row) for row in rows]
        base = self._bank.base
        assert base is not None  # noqa: S101 - it was read before the rows
        new_positions = sum(len(self._row_ids[row]) - base.shared_with(self._row_ids[row]) for row in rows)
        if reason := memory_failure(lambda: self._reserve(new_positions)):
            return MemoryShortage(1, 0, reason)
        for batch in self._plan(rows, starts):
            if reason := memory_failure(lambda batch=batch: self._read_rows(batch)):  # type: ignore[misc] # a default
                return MemoryShortage(len(batch.rows), batch.positions, reason)
        return None

    # -- the base -----------------------------------------------------------------------------------------------------
    def _extend_base(self) -> MemoryShortage | None:
        """Read the base as far as rows continue from it, unless it is stored that far."""
        end, base = self._base_end(), self._bank.base
        if base is not None and end <= self._reusable(base, self._kept_ids):
            return None
        start = self._start(base, self._kept_ids, end)
        if reason := memory_failure(lambda: self._read_base(start, end)):
            positions = self._prompt_length + end if base is None else end - start
            return MemoryShortage(1, positions, reason)
        return None

    def _base_end(self) -> int:
        """Return how many tokens of the base are needed, as the source of rows that have no better one."""
        end = 0
        for row in self._step.waiting:
            ids = self._row_ids[row]
            shared = common_prefix(ids, self._kept_ids)
            if shared > end and shared > self._reusable(self._bank.row(self._step.deletions[row]), ids):
                end = shared
        return end

    def _read_base(self, start: int, end: int) -> None:
        """Read the base from token `start` up to token `end`; the first time, with the prompt before it."""
        step, bank, decoder = self._step, self._bank, self._decoder
        ids = self._kept_ids[:end]
        next_ids = step.next_ids(step.kept[None])[:, : end + 1]
        logprobs = np.full(next_ids.shape[1:], np.nan, dtype=np.float32)
        if bank.base is None:
            first_new, cache = 0, new_cache()
            slots: IntArray = np.zeros(0, dtype=np.int64)
            text = np.concatenate([step.prompt, ids])
        else:
            first_new, slots = self._prompt_length + bank.base.shared_with(ids), bank.base.slots
            logprobs[: start + 1] = bank.base.known_logprobs(next_ids[0, : start + 1])
            cache = bank.pool.gather(slots[None, : self._prompt_length + start], end - start)
            text = np.concatenate([step.prompt[-1:], ids])[start + 1 :]
        if step.reads_reasoning:
            values = decoder.predict(self._tensor(text[None]), self._tensor(next_ids[:, start + 1 :]), cache)
            logprobs[start + 1 :] = values[0].cpu().numpy()
        elif len(text):
            decoder.extend(cache, self._tensor(text[None]))
        bank.store_base(StoredRow.alone(ids, slots, next_ids[0], logprobs), cache, first_new)

    # -- where a row starts -------------------------------------------------------------------------------------------
    def _choose_source(self, row: int) -> int:
        """Choose what a row continues from, the base or its older version; return where it starts."""
        ids, base = self._row_ids[row], self._bank.base
        assert base is not None  # noqa: S101 - it was read before the rows
        older = self._bank.row(self._step.deletions[row])
        self._source_of_row[row], start = base, self._start(base, ids, len(ids))
        if older is not None and (older_start := self._start(older, ids, len(ids))) > start:
            self._source_of_row[row], start = older, older_start
        return start

    def _start(self, source: StoredRow | None, ids: IntArray, end: int) -> int:
        """Return the first token that has to be read of a row, an index into its reasoning.

        That is the first token that cannot be taken from the source. If its prediction is needed and not known, it is
        the token before it, which predicts it: -1 stands for the last token of the prompt.
        """
        if source is None:
            return -1
        step, start = self._step, min(self._reusable(source, ids), end)
        if start < len(ids):
            needed = [ids[start]] if step.reads_reasoning else []
        else:
            needed = [step.answer[0]] if step.wrong_answer is None else [step.answer[0], step.wrong_answer[0]]
        known = source.next_ids[start][~np.isnan(source.logprobs[start])]
        return start if np.isin(needed, known).all() else start - 1

    def _reusable(self, source: StoredRow | None, ids: IntArray) -> int:
        """Return how many of a row's first tokens can be taken from a source, with their log-probabilities if needed.

        If the objective reads the reasoning, a token counts only if its log-probability is known.
        """
        if source is None:
            return 0
        shared = source.shared_with(ids)
        if not self._step.reads_reasoning:
            return shared
        is_unknown = np.isnan(source.logprobs[:shared, 0])
        return int(is_unknown.argmax()) if is_unknown.any() else shared

    # -- batches ------------------------------------------------------------------------------------------------------
    def _plan(self, rows: list[int], starts: list[int]) -> list[DeletionBatch]:
        """Group rows into batches."""
        step, max_positions = self._step, self._decoder.budget.positions
        # The last token of an answer predicts nothing and is not read.
        answers = len(step.answer) - 1 + (0 if step.wrong_answer is None else len(step.wrong_answer) - 1)
        longest_row = self._prompt_length + len(step.kept) + answers
        plan = plan_deletions(
            starts,
            [len(self._row_ids[row]) + answers for row in rows],
            max_positions=max_positions,
            call_cost=self._decoder.call_cost,
            max_rows=max(1, HELD_PER_READ * max_positions // longest_row),
        )
        return [DeletionBatch(batch.start, batch.width, tuple(rows[index] for index in batch.rows)) for batch in plan]

    def _reserve(self, new_positions: int) -> None:
        # Until a row is read, the slots of its older version are in use as well.
        self._bank.reserve(new_positions + 2 * len(self._step.kept))

    def _read_rows(self, batch: DeletionBatch) -> None:
        """Read the rows of a batch, and store their scores in the step and the rows in the bank."""
        step, start = self._step, batch.start
        positions = np.stack([step.rows[row] for row in batch.rows])
        sources = [self._source_of_row[row] for row in batch.rows]
        n_left = positions.shape[1]
        next_ids = step.next_ids(positions)
        logprobs = np.full(next_ids.shape, np.nan, dtype=np.float32)
        for values, ids, source in zip(logprobs, next_ids, sources, strict=True):
            values[: start + 1] = source.known_logprobs(ids[: start + 1])
        cache = self._gather(sources, start, n_left)
        end = n_left + len(step.answer) - 1
        if end > start:
            first_predicted = start + 1 if step.reads_reasoning else max(start + 1, n_left)
            text, tokens = step.text(positions)[:, start + 1 : end + 1], next_ids[:, first_predicted:]
            predicted = self._decoder.predict(self._tensor(text), self._tensor(tokens), cache)
            logprobs[:, first_predicted:] = predicted.cpu().numpy()
        self._store_rows(batch, cache, next_ids, logprobs)
        wrong = None
        if step.wrong_answer is not None:
            rewind(cache, self._prompt_length + n_left)
            wrong = torch.from_numpy(self._read_wrong_answer(step.wrong_answer, logprobs[:, n_left, -1], cache))
        reasoning, answer = torch.from_numpy(logprobs[:, :n_left, 0]), torch.from_numpy(logprobs[:, n_left:, 0])
        step.store(batch.rows, LogprobTensors(reasoning, answer, wrong))

    def _gather(self, sources: list[StoredRow], start: int, n_left: int) -> DynamicCache:
        """Return the keys and values before `start`, with room for the rest of the rows and the longer answer."""
        step = self._step
        longer_answer = max(len(step.answer), 0 if step.wrong_answer is None else len(step.wrong_answer)) - 1
        if n_left - start + len(step.answer) - 1 <= 0 and not longer_answer:
            return new_cache()  # nothing is read
        past = np.stack([source.slots[: self._prompt_length + start] for source in sources])
        return self._bank.pool.gather(past, n_left - start + longer_answer)

    def _store_rows(
        self, batch: DeletionBatch, cache: DynamicCache, next_ids: IntArray, logprobs: LogprobArray
    ) -> None:
        """Store the rows of a batch without their answers, of which later steps have no use."""
        rows, first_new = {}, []
        for row, row_next_ids, row_logprobs in zip(batch.rows, next_ids, logprobs, strict=True):
            ids, source = self._row_ids[row], self._source_of_row[row]
            boundaries = len(ids) + 1
            self._bank.add_prediction(ids, row_next_ids, row_logprobs)
            first_new.append(self._prompt_length + source.shared_with(ids))
            rows[self._step.deletions[row]] = StoredRow.alone(
                ids, source.slots, row_next_ids[:boundaries], row_logprobs[:boundaries]
            )
        self._bank.store_rows(rows, first_new, cache)

    def _read_wrong_answer(self, answer: IntArray, first: LogprobArray, cache: DynamicCache) -> LogprobArray:
        """Return the log-probabilities of a wrong answer's tokens, [row, token].

        Parameters
        ----------
        answer
            Ids, [token].
        first
            Log-probability of the first token, which was predicted with the reasoning, [row].
        cache
            Keys and values of prompt and reasoning.
        """
        if len(answer) == 1:
            return first[:, None]
        tile = (len(first), 1)
        following = self._tensor(np.tile(answer[1:], tile)[..., None])
        values = self._decoder.predict(self._tensor(np.tile(answer[:-1], tile)), following, cache)
        return np.concatenate([first[:, None], values[..., 0].cpu().numpy()], axis=1)

    def _tensor(self, ids: IntArray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(ids)).to(self._decoder.device)
