"""Scores of many deletions from one reading of what they share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from transformers.cache_utils import DynamicCache

from tokimp.batching import run_within_memory, single_sequence
from tokimp.chain import Ids, TokenizedChain
from tokimp.deletion import DeletionBatch, check_deletions, plan_deletions
from tokimp.key_value_cache import new_cache, prefix_for_rows
from tokimp.objective import LogprobTensors, Objective, Span
from tokimp.scorer import DeletionScores
from tokimp.token_logprobs import TokenQueries

if TYPE_CHECKING:
    from tokimp.decoder import Decoder


class DeletionPass:
    """Scores every candidate of a step (see `CausalLMScorer.score_deletions`).

    What is kept is read once, up to the last candidate, and its keys and values are held. A batch of candidates takes
    them up to where its leftmost deletion is, and passes only what follows through the model. The first token after
    that place is predicted from the position before it, which all rows share, so its log-probability comes from the
    reading of what is kept.

    The prompt's keys and values stay from one step to the next, and are read anew when a chain is begun (nothing
    deleted yet), so that cost and rounding of a run do not depend on what ran before it.
    """

    def __init__(self, scorer: Decoder) -> None:
        self._scorer = scorer
        self._prompt: tuple[Ids, DynamicCache] | None = None

    def score(
        self, chain: TokenizedChain, kept: Sequence[int], candidates: Sequence[Sequence[int]], objective: Objective
    ) -> DeletionScores:
        """Return the scores, in the order of `candidates`.

        Deletions that leave the same ids (of one of two equal neighbours) are scored once: they tie exactly, however
        the others are batched.
        """
        check_deletions(chain, kept, candidates)
        everything = _Step(chain, kept, candidates, objective)
        if not candidates:
            return everything.scores
        first: dict[Ids, int] = {}
        same = [first.setdefault(everything.row(candidate), candidate) for candidate in range(len(candidates))]
        distinct = sorted(first.values())
        scores = self._score_distinct(_Step(chain, kept, [candidates[candidate] for candidate in distinct], objective))
        places = np.searchsorted(distinct, same)
        return DeletionScores(scores.objective[places], scores.reasoning[places], scores.answer[places])

    def _score_distinct(self, step: _Step) -> DeletionScores:
        reuse = self._scorer.reuse_kv
        plan = plan_deletions(
            step.deleted,
            step.length_read + (0 if reuse else len(step.prompt)),
            max_positions=self._scorer.budget.positions,
            call_cost=self._scorer.call_cost,
            share_prefix=reuse,
        )
        logprobs = self._continuing(step, plan) if reuse else self._from_scratch(step)
        run_within_memory(
            plan,
            lambda batch: step.store(batch, logprobs(batch)),
            split=DeletionBatch.halves,
            positions=lambda batch: batch.positions,
            budget=self._scorer.budget,
        )
        return step.scores

    def _from_scratch(self, step: _Step) -> Callable[[DeletionBatch], LogprobTensors]:
        """Every row as a whole sequence: for models whose state cannot be cut back to a prefix."""
        scorer, prompt = self._scorer, step.prompt

        def versions(batch: DeletionBatch, answer: Ids) -> tuple[torch.Tensor, torch.Tensor]:
            rows = [step.row(candidate) + answer for candidate in batch.candidates]
            queries = TokenQueries()
            for index, row in enumerate(rows):
                queries.add_run(index, len(prompt) - 1, row)
            values = scorer.query(scorer.tensor([(prompt + row)[:-1] for row in rows]), queries)
            values = values.reshape(len(rows), -1)
            return values[:, : -len(answer)], values[:, -len(answer) :]

        def logprobs(batch: DeletionBatch) -> LogprobTensors:
            reasoning, answer = versions(batch, step.answer)
            return LogprobTensors(reasoning, answer, versions(batch, step.wrong)[1] if step.wrong else None)

        return logprobs

    def _continuing(self, step: _Step, plan: Sequence[DeletionBatch]) -> Callable[[DeletionBatch], LogprobTensors]:
        """Every row from where its batch starts, after the keys and values of what precedes it."""
        scorer, wrong = self._scorer, step.wrong
        with single_sequence(len(step.prompt) + len(step.kept)):
            base = _Base(step, plan, scorer, self._prompt_cache(step))

        def logprobs(batch: DeletionBatch) -> LogprobTensors:
            start, size = batch.start, len(batch.candidates)
            suffixes = [step.row(candidate)[start:] for candidate in batch.candidates]
            left = len(suffixes[0])
            texts = [suffix + step.answer for suffix in suffixes]
            cache = prefix_for_rows(base.cache, len(step.prompt) + start, size)
            queries = TokenQueries()
            for index, text in enumerate(texts):
                queries.add_run(index, 0, text[1:])
            if wrong and left:
                for index in range(size):
                    queries.add(index, left - 1, wrong[0])
            found = scorer.query(scorer.tensor([text[:-1] for text in texts]), queries, cache)
            count = size * (len(texts[0]) - 1)
            values = torch.cat([base.first[list(batch.candidates), None], found[:count].reshape(size, -1)], dim=1)
            reasoning = torch.cat([base.reasoning[:start].expand(size, -1), values[:, :left]], dim=1)
            other = None
            if wrong:
                first = found[count:] if left else base.first_of_wrong[list(batch.candidates)]
                after = prefix_for_rows(cache, len(step.prompt) + start + left, size)
                other = torch.cat([first[:, None], self._rest(wrong, after, size)], dim=1)
            return LogprobTensors(reasoning, values[:, left:], other)

        return logprobs

    def _rest(self, answer: Ids, cache: DynamicCache, rows: int) -> torch.Tensor:
        """Return the log-probabilities of an answer's tokens but the first, [row, token]; the same answer in each."""
        queries = TokenQueries()
        for row in range(rows):
            queries.add_run(row, 0, answer[1:])
        return self._scorer.query(self._scorer.tensor([answer[:-1]] * rows), queries, cache).reshape(rows, -1)

    def _prompt_cache(self, step: _Step) -> DynamicCache:
        """Return keys and values of the prompt without its last token, whose prediction is always read."""
        ids = step.prompt[:-1]
        if step.nothing_deleted or self._prompt is None or self._prompt[0] != ids:
            self._prompt = None
            cache = new_cache()
            if ids:
                self._scorer.extend(cache, self._scorer.tensor([ids]))
            self._prompt = (ids, cache)
        return self._prompt[1]


class _Step:
    """What is asked, as ids, and the results as they come in."""

    def __init__(
        self, chain: TokenizedChain, kept: Sequence[int], candidates: Sequence[Sequence[int]], objective: Objective
    ) -> None:
        place = {position: index for index, position in enumerate(kept)}
        self.objective = objective
        self.prompt = chain.prompt_ids
        self.kept: Ids = tuple(chain.reasoning_ids[position] for position in kept)
        self.answer = chain.answer_ids
        self.wrong = chain.wrong_answer_ids if Span.WRONG_ANSWER in objective.spans else None
        self.deleted = [sorted(place[position] for position in candidate) for candidate in candidates]
        self.nothing_deleted = len(kept) == len(chain.reasoning_ids)
        self.scores = DeletionScores(*(np.full(len(candidates), np.nan) for _ in range(3)))

    @property
    def length_read(self) -> int:
        """Tokens of a row before its deletion that are read: the last of an answer predicts nothing."""
        return len(self.kept) + len(self.answer) - 1 + (len(self.wrong) - 1 if self.wrong else 0)

    def row(self, candidate: int) -> Ids:
        """Return the reasoning that is left after a deletion."""
        gone = set(self.deleted[candidate])
        return tuple(token for index, token in enumerate(self.kept) if index not in gone)

    def store(self, batch: DeletionBatch, logprobs: LogprobTensors) -> None:
        """Keep the scores of a batch."""
        rows = list(batch.candidates)
        self.scores.objective[rows] = self.objective.evaluate(logprobs).numpy()
        self.scores.reasoning[rows] = logprobs.reasoning.sum(dim=-1, dtype=torch.float64).cpu().numpy()
        self.scores.answer[rows] = logprobs.answer.sum(dim=-1, dtype=torch.float64).cpu().numpy()


class _Base:
    """What all rows share: the kept reasoning up to the last batch's start, read once.

    Attributes
    ----------
    cache
        Keys and values of prompt and kept reasoning, up to there.
    reasoning
        Log-probabilities of the kept tokens, up to there.
    first, first_of_wrong
        For each candidate, the log-probability of its row's first token, predicted from the position before; and
        that of the wrong answer's first token there, for a row that has no reasoning after its start (else NaN).
    """

    def __init__(self, step: _Step, plan: Sequence[DeletionBatch], scorer: Decoder, prompt_cache: DynamicCache) -> None:
        end = max(batch.start for batch in plan)
        queries = TokenQueries()
        queries.add_run(0, 0, step.kept[:end])
        first: dict[int, int] = {}
        first_of_wrong: dict[int, int] = {}
        for batch in plan:
            for candidate in batch.candidates:
                suffix = step.row(candidate)[batch.start :]
                first[candidate] = queries.add(0, batch.start, (suffix + step.answer)[0])
                if step.wrong and not suffix:
                    first_of_wrong[candidate] = queries.add(0, batch.start, step.wrong[0])
        self.cache = prefix_for_rows(prompt_cache, len(step.prompt) - 1, 1)
        values = scorer.query(scorer.tensor([step.prompt[-1:] + step.kept[:end]]), queries, self.cache)
        self.reasoning = values[:end]
        self.first = values[[first[candidate] for candidate in range(len(step.deleted))]]
        self.first_of_wrong = torch.full_like(self.first, torch.nan)
        for candidate, index in first_of_wrong.items():
            self.first_of_wrong[candidate] = values[index]
