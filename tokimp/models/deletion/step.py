"""One step of scoring deletions: the rows it asks for, as token ids, and their scores as they come in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from tokimp.chains.arrays import FloatArray, IntArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import LogprobTensors, Objective, Span
from tokimp.contracts.scorer import DeletionScores

Deletion = tuple[int, ...]
"""Positions of the reasoning tokens that are deleted, ascending."""


class DeletionStep:
    """The shortened chains (rows) that a step asks for: what is left of the reasoning, then the answer.

    Two deletions that leave the same ids, such as those of two equal neighbours, share one row. So they tie exactly,
    whatever the batches are and whatever was stored of them before.

    Attributes
    ----------
    prompt
        Ids, [token].
    answer
        Ids, [token]. If reading stops early, the one token that comes next stands in for the answer.
    wrong_answer
        Ids, [token]; ``None`` unless the objective needs a wrong answer.
    reads_reasoning
        Whether the objective needs the log-probabilities of the reasoning. If not, they are not computed.
    nothing_deleted
        Whether the whole reasoning is kept, as at the start of a pruning.
    kept
        Positions of the reasoning that is kept, ascending, [kept token].
    deletions
        For each row, what is deleted from `kept`. A row is recognised by this from one step to the next.
    rows
        For each row, the positions of the reasoning that is left, as far as it is read, [token left].
    waiting
        Indices of the rows that have no scores yet.

    Parameters
    ----------
    chain, kept, candidates, objective
        As for `tokimp.contracts.scorer.Scorer.score_deletions`.
    until
        How many of the kept tokens are read; ``None`` reads all of them, and the answer.
    """

    def __init__(
        self,
        chain: TokenizedChain,
        kept: Sequence[int],
        candidates: Sequence[Sequence[int]],
        objective: Objective,
        until: int | None = None,
    ) -> None:
        self._objective = objective
        self._reasoning = np.array(chain.reasoning_ids, dtype=np.int64)
        self._unit_of = -1 - np.arange(len(self._reasoning))  # a token outside all units is a unit of its own
        tokens = [position for unit in chain.units for position in unit]
        self._unit_of[tokens] = np.repeat(np.arange(len(chain.units)), [len(unit) for unit in chain.units])
        self.prompt = np.array(chain.prompt_ids, dtype=np.int64)
        self._n_read = len(kept) if until is None else min(until, len(kept))
        following = chain.answer_ids if self._n_read == len(kept) else [chain.reasoning_ids[kept[self._n_read]]]
        self.answer = np.array(following, dtype=np.int64)
        self._answer_value = chain.answer_value
        self.wrong_answer = None
        if Span.WRONG_ANSWER in objective.spans:
            self.wrong_answer = np.array(chain.wrong_answer_ids, dtype=np.int64)
        self.reads_reasoning = Span.REASONING in objective.spans
        self.nothing_deleted = len(kept) == len(chain.reasoning_ids)
        self.kept = np.array(kept, dtype=np.int64)
        self.deletions: list[Deletion] = []
        self.rows: list[IntArray] = []
        self._row_of_candidate = [0] * len(candidates)
        self._left_by_candidate: list[IntArray] = []
        # What deletions of one size leave, [candidate, token left], and for each row where it is found there.
        self._left_by_size: dict[int, IntArray] = {}
        self._place_of_row: list[tuple[int, int]] = []
        self._make_rows(candidates)
        self._scores = np.full((3, len(self.rows)), np.nan)  # objective, reasoning, answer
        self._width = len(kept) + len(chain.answer_ids)
        self._logprobs_of_row: dict[int, tuple[FloatArray, FloatArray]] = {}
        self.waiting = set(range(len(self.rows)))

    def _make_rows(self, candidates: Sequence[Sequence[int]]) -> None:
        read, by_size = self.kept[: self._n_read], dict[int, list[int]]()
        for index, candidate in enumerate(candidates):
            by_size.setdefault(len(candidate), []).append(index)
        places: list[tuple[int, int]] = [(0, 0)] * len(candidates)
        for size, members in by_size.items():
            deleted = np.array([candidates[index] for index in members], dtype=np.int64).reshape(len(members), size)
            is_left = np.ones((len(members), len(read)), dtype=bool)
            np.put_along_axis(is_left, np.searchsorted(read, deleted), values=False, axis=1)
            self._left_by_size[size] = np.broadcast_to(read, is_left.shape)[is_left].reshape(len(members), -1)
            for place, index in enumerate(members):
                places[index] = size, place
        ids_by_size = {size: self.ids(left) for size, left in self._left_by_size.items()}
        row_of_ids: dict[bytes, int] = {}
        for index, (candidate, (size, place)) in enumerate(zip(candidates, places, strict=True)):
            left = self._left_by_size[size][place]
            self._left_by_candidate.append(left)
            row = row_of_ids.setdefault(ids_by_size[size][place].tobytes(), len(self.rows))
            if row == len(self.rows):
                self.rows.append(left)
                self._place_of_row.append((size, place))
                self.deletions.append(tuple(sorted(candidate)))
            self._row_of_candidate[index] = row

    def positions_of(self, rows: Sequence[int]) -> IntArray:
        """Return the positions of the reasoning that is left in some rows of one length, [row, token left]."""
        size = self._place_of_row[rows[0]][0]
        positions: IntArray = self._left_by_size[size][[self._place_of_row[row][1] for row in rows]]
        return positions

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence that the step and later ones may read: nothing deleted, with its answer."""
        answers = [len(self.answer), 0 if self.wrong_answer is None else len(self.wrong_answer)]
        return len(self.prompt) + len(self.kept) + max(answers)

    def ids(self, positions: IntArray) -> IntArray:
        """Return the ids of the reasoning at some positions, in their shape."""
        return self._reasoning[positions]

    def text(self, positions: IntArray) -> IntArray:
        """Return the last token of the prompt, the reasoning that is left, and the answer, as ids.

        Parameters
        ----------
        positions
            Positions of the reasoning that is left, [row, token left].

        Returns
        -------
        IntArray
            [row, 1 + token left + answer token]
        """
        n_rows = len(positions)
        last_of_prompt, answer = np.tile(self.prompt[-1:], (n_rows, 1)), np.tile(self.answer, (n_rows, 1))
        return np.concatenate([last_of_prompt, self.ids(positions), answer], axis=1)

    def next_ids(self, positions: IntArray) -> IntArray:
        """Return the tokens whose log-probabilities are needed at each boundary, now or in a later step.

        Before each token of the reasoning these are the token that follows (choice 0), and the token that comes next
        if the unit that follows is deleted (choice 1). A later step that makes this deletion continues from here, and
        finds the prediction of its first token. What comes next after the last unit is the answer. If the objective
        needs a wrong answer, choice 2 is like choice 1, with the wrong answer in place of the answer.

        Before the first token of the answer the choices are the first tokens of the answers; before the others, the
        token of the answer itself.

        Parameters
        ----------
        positions
            Positions of the reasoning that is left, [row, token left].

        Returns
        -------
        IntArray
            Ids, [row, token left + answer token, choice].
        """
        n_rows, n_left = positions.shape
        unit = self._unit_of[positions]
        is_last_of_unit = np.ones((n_rows, n_left), dtype=bool)
        is_last_of_unit[:, :-1] = unit[:, 1:] != unit[:, :-1]
        # For each token, the place after its unit: the nearest end of a unit at or right of it, plus one.
        unit_ends = np.where(is_last_of_unit, np.arange(n_left), n_left)
        place_after_unit = np.minimum.accumulate(unit_ends[:, ::-1], axis=1)[:, ::-1] + 1
        answers = [self.answer] if self.wrong_answer is None else [self.answer, self.wrong_answer]
        next_ids = np.empty((n_rows, n_left + len(self.answer), 1 + len(answers)), dtype=np.int64)
        next_ids[:, n_left:] = self.answer[:, None]
        next_ids[:, :n_left, 0] = self.ids(positions)
        for choice, answer in enumerate(answers, start=1):
            next_ids[:, n_left, choice] = answer[0]
            left_and_answer = np.concatenate([self.ids(positions), np.full((n_rows, 1), answer[0])], axis=1)
            next_ids[:, :n_left, choice] = np.take_along_axis(left_and_answer, place_after_unit, axis=1)
        return next_ids

    def store(self, rows: Sequence[int], logprobs: LogprobTensors) -> None:
        """Store the log-probabilities of some rows, given by index, and the scores they make."""
        indices = list(rows)
        told = replace(logprobs, answer_value=self._answer_value)
        self._scores[0, indices] = self._objective.evaluate(told).numpy()
        self._scores[1, indices] = logprobs.reasoning.sum(dim=-1, dtype=torch.float64).numpy()
        self._scores[2, indices] = logprobs.answer.sum(dim=-1, dtype=torch.float64).numpy()
        self._logprobs_of_row |= dict(
            zip(indices, zip(logprobs.reasoning.numpy(), logprobs.answer.numpy(), strict=True), strict=True)
        )
        self.waiting.difference_update(indices)

    @property
    def scores(self) -> DeletionScores:
        """The scores, one for each candidate, in their order; NaN for rows still waiting."""
        return DeletionScores(*self._scores[:, self._row_of_candidate])

    @property
    def logprobs(self) -> FloatArray:
        """Log-probabilities in nats, [candidate, kept token + answer token]; NaN where deleted or not read."""
        values = np.full((len(self._left_by_candidate), self._width), np.nan, dtype=np.float32)
        for value, row, left in zip(values, self._row_of_candidate, self._left_by_candidate, strict=True):
            reasoning, answer = self._logprobs_of_row[row]
            value[np.searchsorted(self.kept, left)] = reasoning
            value[self._n_read : self._n_read + len(answer)] = answer
        return values
