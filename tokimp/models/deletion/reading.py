"""Scores of many deletions, reading nothing twice: neither within a step nor between steps."""

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
from tokimp.models.batching import memory_failure, release_memory, run_within_memory, too_large
from tokimp.models.deletion.key_value_pool import new_cache, rewind
from tokimp.models.deletion.plan import DeletionBatch, check_deletions, plan_deletions
from tokimp.models.deletion.rows import LogprobArray, ReadRow, RowBank
from tokimp.models.deletion.step import DeletionStep

if TYPE_CHECKING:
    from tokimp.models.decoder import Decoder

# Keys and values of a batch's whole rows take memory as well, not only the positions that are read: so many positions
# in all for each one that may be read.
_HELD_FOR_ONE_READ = 4


class DeletionPass:
    """Scores every candidate of a step (see `CausalLMScorer.score_deletions`).

    A row (what a deletion leaves) is read only from the first token on whose past is new. Right of the last deletion
    its past is that of what is kept now; left of it, that of the row which the same candidate left in the step before.
    What is kept now is itself a row of that step. Keys and values of all these are held in a `RowBank`, where memory
    allows; where it does not, a row starts where it departs from what is kept, as in a first step.

    What is held of a chain is forgotten when one is begun (nothing deleted yet), so that cost and rounding of a run do
    not depend on what ran before it.
    """

    def __init__(self, scorer: Decoder) -> None:
        self._scorer = scorer
        self._bank = RowBank(scorer.cache_memory)

    def score(
        self, chain: TokenizedChain, kept: Sequence[int], candidates: Sequence[Sequence[int]], objective: Objective
    ) -> DeletionScores:
        """Return the scores, in the order of `candidates`."""
        check_deletions(chain, kept, candidates)
        step = DeletionStep(chain, kept, candidates, objective)
        self._read(step)
        return step.scores

    def logprobs(
        self, chain: TokenizedChain, kept: Sequence[int], candidates: Sequence[Sequence[int]], until: int | None
    ) -> FloatArray:
        """Return the log-probabilities of what is left; see `tokimp.contracts.scorer.Scorer.deletion_logprobs`."""
        check_deletions(chain, kept[:until], candidates)
        step = DeletionStep(chain, kept, candidates, Joint(), until)
        self._read(step)
        return step.logprobs

    def _read(self, step: DeletionStep) -> None:
        if not self._scorer.reuse_kv:
            self._score_from_scratch(step)
            return
        if step.waiting:
            self._bank.begin(step)
        while step.waiting:
            failed = _Reading(self._scorer, self._bank, step).run()
            if failed is not None:
                self._make_room(failed)

    def _make_room(self, failed: _Failure) -> None:
        """After memory ran out: hold fewer rows and pass fewer positions at once, or raise if that is not possible."""
        held = self._bank.give_up_memory()
        release_memory()
        budget = self._scorer.budget
        if failed.rows > 1:
            budget.positions = max(1, min(budget.positions, failed.positions // 2))
        elif not held:
            raise too_large(failed.positions, failed.reason)

    def _score_from_scratch(self, step: DeletionStep) -> None:
        """Score every row as a whole sequence: for models whose state cannot be cut back to a prefix."""
        scorer, begin = self._scorer, len(step.prompt)

        def versions(positions: IntArray, answer: IntArray) -> torch.Tensor:
            rows, left = positions.shape
            before, after = np.tile(step.prompt, (rows, 1)), np.tile(answer, (rows, 1))
            text = np.concatenate([before, step.ids(positions), after], axis=1)
            scored = text[:, begin if step.reads_reasoning else begin + left :, None]
            return scorer.predict(_tensor(text[:, :-1], scorer), _tensor(scored, scorer), None)[..., 0].cpu()

        def run(batch: DeletionBatch) -> None:
            positions = np.stack([step.rows[row] for row in batch.candidates])
            values, count = versions(positions, step.answer), len(step.answer)
            wrong = None if step.wrong is None else versions(positions, step.wrong)[:, -len(step.wrong) :]
            reasoning = values[:, :-count] if step.reads_reasoning else torch.full(positions.shape, torch.nan)
            step.store(batch.candidates, LogprobTensors(reasoning, values[:, -count:], wrong))

        ends = [begin + len(row) + len(step.answer) - 1 for row in step.rows]
        most = min(scorer.budget.positions, scorer.most_scored_positions)
        run_within_memory(
            plan_deletions([0] * len(ends), ends, max_positions=most, call_cost=scorer.call_cost),
            run,
            split=DeletionBatch.halves,
            positions=lambda batch: batch.positions,
            budget=scorer.budget,
        )


@dataclass(frozen=True, slots=True)
class _Failure:
    """A reading for which memory did not suffice."""

    rows: int
    positions: int
    reason: str


class _Reading:
    """One attempt at the rows of a step that have no scores yet."""

    def __init__(self, scorer: Decoder, bank: RowBank, step: DeletionStep) -> None:
        self._scorer, self._bank, self._step = scorer, bank, step
        self._prompt = len(step.prompt)
        self._sources: dict[int, ReadRow] = {}

    def run(self) -> _Failure | None:
        """Score all rows, or as many as memory allows; return what did not fit."""
        needed = self._base_needed()
        begin = self._start(self._bank.base, self._step.ids(self._step.kept), needed)
        if self._bank.base is None or needed > self._covered(self._bank.base, self._step.ids(self._step.kept)):
            positions = needed - begin if self._bank.base else self._prompt + needed
            if reason := memory_failure(lambda: self._read_base(begin, needed)):
                return _Failure(1, positions, reason)
        rows = sorted(self._step.waiting)
        starts = [self._choose_source(row) for row in rows]
        if reason := memory_failure(lambda: self._reserve(rows)):
            return _Failure(1, 0, reason)
        for batch in self._plan(rows, starts):
            if reason := memory_failure(lambda batch=batch: self._read_rows(batch)):  # type: ignore[misc]
                return _Failure(len(batch.candidates), batch.positions, reason)
        return None

    def _plan(self, rows: list[int], starts: list[int]) -> list[DeletionBatch]:
        step, most = self._step, self._scorer.budget.positions
        tail = len(step.answer) - 1 + (0 if step.wrong is None else len(step.wrong) - 1)
        whole = self._prompt + len(step.kept) + tail
        plan = plan_deletions(
            starts,
            [len(step.rows[row]) + tail for row in rows],
            max_positions=most,
            call_cost=self._scorer.call_cost,
            max_rows=max(1, _HELD_FOR_ONE_READ * most // whole),
        )
        return [
            DeletionBatch(batch.start, batch.width, tuple(rows[index] for index in batch.candidates)) for batch in plan
        ]

    def _covered(self, source: ReadRow | None, ids: IntArray) -> int:
        """Return how many reasoning tokens of a row need not be read again, given a source."""
        if source is None:
            return 0
        shared = source.shared_with(ids)
        if not self._step.reads_reasoning:
            return shared
        unknown = np.isnan(source.logprobs[:shared, 0])
        return int(unknown.argmax()) if unknown.any() else shared

    def _start(self, source: ReadRow | None, ids: IntArray, end: int) -> int:
        """Return where a row has to be read from: one token earlier if the first prediction is needed and not known."""
        start = min(self._covered(source, ids), end)
        step = self._step
        if source is None:
            return -1
        if start < len(ids):
            needed = [ids[start]] if step.reads_reasoning else []
        else:
            needed = [step.answer[0]] if step.wrong is None else [step.answer[0], step.wrong[0]]
        there = np.isin(needed, source.asked[start][~np.isnan(source.logprobs[start])])
        return start if there.all() else start - 1

    def _base_needed(self) -> int:
        """Return how far the base has to be read: as far as a row follows it that has no better source."""
        ids, needed = self._step.ids(self._step.kept), 0
        for index in self._step.waiting:
            row = self._step.ids(self._step.rows[index])
            differs = row != ids[: len(row)]
            shared = int(differs.argmax()) if differs.any() else len(row)
            if shared > needed and shared > self._covered(self._bank.row(self._step.candidates[index]), row):
                needed = shared
        return needed

    def _read_base(self, start: int, end: int) -> None:
        """Read what is kept up to a token, from `start` on; at first with the prompt."""
        step, bank, scorer = self._step, self._bank, self._scorer
        ids = step.ids(step.kept)[:end]
        asked = step.asked(step.kept[None])[:, : end + 1]
        logprobs = np.full(asked.shape[1:], np.nan, dtype=np.float32)
        if bank.base is None:
            past, cache, first = 0, new_cache(), 0
            slots: IntArray = np.zeros(0, dtype=np.int64)
            text = np.concatenate([step.prompt, ids])
        else:
            past, first, slots = self._prompt + start, self._prompt + bank.base.shared_with(ids), bank.base.slots
            logprobs[: start + 1] = bank.base.known(asked[0, : start + 1])
            cache = bank.pool.gather(slots[None, :past], end - start)
            text = np.concatenate([step.prompt[-1:], ids])[start + 1 :]
        if step.reads_reasoning:
            values = scorer.predict(_tensor(text[None], scorer), _tensor(asked[:, start + 1 :], scorer), cache)
            logprobs[start + 1 :] = values[0].cpu().numpy()
        elif len(text):
            scorer.extend(cache, _tensor(text[None], scorer))
        bank.keep_base(ReadRow(ids, slots, asked[0], logprobs), cache, first)

    def _choose_source(self, index: int) -> int:
        """Choose where a row continues from, the base or what was read of it before; return its start."""
        ids, base = self._step.ids(self._step.rows[index]), self._bank.base
        assert base is not None  # noqa: S101 - read before
        own = self._bank.row(self._step.candidates[index])
        start = self._start(base, ids, len(ids))
        self._sources[index] = base
        if own is not None and (other := self._start(own, ids, len(ids))) > start:
            self._sources[index], start = own, other
        return start

    def _reserve(self, rows: list[int]) -> None:
        base = self._bank.base
        assert base is not None  # noqa: S101 - read before
        own = [len(self._step.rows[row]) - base.shared_with(self._step.ids(self._step.rows[row])) for row in rows]
        # Beside what rows will hold, they hold what they did until they are read.
        self._bank.reserve(sum(own) + 2 * len(self._step.kept))

    def _read_rows(self, batch: DeletionBatch) -> None:
        step, scorer, start = self._step, self._scorer, batch.start
        positions = np.stack([step.rows[row] for row in batch.candidates])
        sources = [self._sources[row] for row in batch.candidates]
        asked, left, end = step.asked(positions), positions.shape[1], positions.shape[1] + len(step.answer) - 1
        logprobs = np.full(asked.shape, np.nan, dtype=np.float32)
        for place, source in enumerate(sources):
            logprobs[place, : start + 1] = source.known(asked[place, : start + 1])
        extra = max(len(step.answer), 0 if step.wrong is None else len(step.wrong)) - 1
        cache = new_cache()
        if end > start or extra:
            past = np.stack([source.slots[: self._prompt + start] for source in sources])
            cache = self._bank.pool.gather(past, left - start + extra)
        if end > start:
            first = start + 1 if step.reads_reasoning else max(start + 1, left)
            text = step.text(positions)[:, start + 1 : end + 1]
            values = scorer.predict(_tensor(text, scorer), _tensor(asked[:, first:], scorer), cache)
            logprobs[:, first:] = values.cpu().numpy()
        # Past answers are of no use to later steps: the reasoning's keys and values are what is held.
        rows, shared = {}, []
        for place, (index, source) in enumerate(zip(batch.candidates, sources, strict=True)):
            ids = step.ids(positions[place])
            shared.append(self._prompt + source.shared_with(ids))
            self._bank.learn(ids, asked[place], logprobs[place])
            row = ReadRow(ids, source.slots, asked[place, : left + 1], logprobs[place, : left + 1])
            rows[step.candidates[index]] = row
        self._bank.keep_rows(rows, shared, cache)
        wrong = None
        if step.wrong is not None:
            rewind(cache, self._prompt + left)
            wrong = torch.from_numpy(self._wrong_answers(step.wrong, logprobs[:, left, -1], cache))
        reasoning, answer = torch.from_numpy(logprobs[:, :left, 0]), torch.from_numpy(logprobs[:, left:, 0])
        step.store(batch.candidates, LogprobTensors(reasoning, answer, wrong))

    def _wrong_answers(self, answer: IntArray, first: LogprobArray, cache: DynamicCache) -> LogprobArray:
        """Return the log-probabilities of an answer's tokens, [row, token], given those of its first token."""
        if len(answer) == 1:
            return first[:, None]
        scorer, rows = self._scorer, (len(first), 1)
        following = _tensor(np.tile(answer[1:], rows)[..., None], scorer)
        values = scorer.predict(_tensor(np.tile(answer[:-1], rows), scorer), following, cache)
        return np.concatenate([first[:, None], values[..., 0].cpu().numpy()], axis=1)


def _tensor(ids: IntArray, scorer: Decoder) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(ids)).to(scorer.device)
