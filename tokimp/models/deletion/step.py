"""One step of scoring deletions: what is asked, as ids, and the scores as they come in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from tokimp.chains.arrays import FloatArray, IntArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import LogprobTensors, Objective, Span
from tokimp.contracts.scorer import DeletionScores


class DeletionStep:
    """The versions of a chain that a step asks for, each a row of reasoning ids followed by the answer.

    Versions with the same ids (of one of two equal neighbours, say) are one row, so they tie exactly, however rows are
    batched and whatever was known of them before.

    Attributes
    ----------
    prompt, answer, wrong
        Ids; `wrong` is ``None`` unless the objective reads a wrong answer. Where reading stops early, the one token
        that comes next stands for the answer.
    reads_reasoning
        Whether the objective reads the log-probabilities of the reasoning; if not, they are not computed.
    nothing_deleted
        Whether the whole reasoning is kept: a run over the chain begins.
    kept
        Positions of the reasoning that is kept.
    candidates
        For each row the positions that are deleted, ascending: the identity of the row from one step to the next.
    rows
        For each row the positions of the reasoning that is left, as far as it is read.

    Parameters
    ----------
    chain, kept, candidates, objective
        As of `tokimp.contracts.scorer.Scorer.score_deletions`.
    until
        How many of the kept tokens are read; ``None`` for all, and the answer.
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
        self._unit = -1 - np.arange(len(self._reasoning))  # a token of no unit is one of its own
        for index, unit in enumerate(chain.units):
            self._unit[list(unit)] = index
        self.prompt = np.array(chain.prompt_ids, dtype=np.int64)
        self._read = len(kept) if until is None else min(until, len(kept))
        following = chain.answer_ids if self._read == len(kept) else [chain.reasoning_ids[kept[self._read]]]
        self.answer = np.array(following, dtype=np.int64)
        self.wrong = None
        if Span.WRONG_ANSWER in objective.spans:
            self.wrong = np.array(chain.wrong_answer_ids, dtype=np.int64)
        self.reads_reasoning = Span.REASONING in objective.spans
        self.nothing_deleted = len(kept) == len(chain.reasoning_ids)
        self.kept = np.array(kept, dtype=np.int64)
        self.candidates: list[tuple[int, ...]] = []
        self.rows: list[IntArray] = []
        self._row_of = [0] * len(candidates)
        self._left: list[IntArray] = []
        self._find_rows(candidates)
        self._found = np.full((3, len(self.rows)), np.nan)
        self._length = len(kept) + len(chain.answer_ids)
        self._logprobs: dict[int, tuple[FloatArray, FloatArray]] = {}
        self.waiting = set(range(len(self.rows)))

    def _find_rows(self, candidates: Sequence[Sequence[int]]) -> None:
        there = np.zeros(len(self._reasoning), dtype=bool)
        there[self.kept[: self._read]] = True
        first: dict[bytes, int] = {}
        for index, candidate in enumerate(candidates):
            deleted = list(candidate)
            there[deleted] = False
            row = np.flatnonzero(there)
            there[deleted] = True
            self._left.append(row)
            same = first.setdefault(self.ids(row).tobytes(), len(self.rows))
            if same == len(self.rows):
                self.rows.append(row)
                self.candidates.append(tuple(sorted(deleted)))
            self._row_of[index] = same

    def ids(self, positions: IntArray) -> IntArray:
        """Return the reasoning's ids at some positions."""
        return self._reasoning[positions]

    def text(self, positions: IntArray) -> IntArray:
        """Return the last token of the prompt, the reasoning at `positions`, [row, left], and the answer."""
        count = len(positions)
        before, after = np.tile(self.prompt[-1:], (count, 1)), np.tile(self.answer, (count, 1))
        return np.concatenate([before, self.ids(positions), after], axis=1)

    def asked(self, positions: IntArray) -> IntArray:
        """Return what is to be predicted along rows of reasoning at `positions`, [row, left].

        At each boundary (before each token of reasoning and answer) the token that follows, and beside it the token
        that would follow were the unit there deleted: a later step starts reading where a deletion was, and finds the
        prediction of its first token here. Before the answer, that of a wrong answer counts as such too.

        Returns
        -------
        IntArray
            [row, left + answer token, choice]; the token that follows is choice 0.
        """
        count, left = positions.shape
        unit = self._unit[positions]
        last = np.ones((count, left), dtype=bool)  # of a run of one unit's tokens
        last[:, :-1] = unit[:, 1:] != unit[:, :-1]
        ends = np.where(last, np.arange(left), left)
        after = np.minimum.accumulate(ends[:, ::-1], axis=1)[:, ::-1] + 1
        answers = [self.answer] if self.wrong is None else [self.answer, self.wrong]
        asked = np.empty((count, left + len(self.answer), 1 + len(answers)), dtype=np.int64)
        asked[:, left:] = self.answer[:, None]
        asked[:, :left, 0] = self.ids(positions)
        for choice, answer in enumerate(answers, start=1):
            asked[:, left, choice] = answer[0]
            following = np.concatenate([self.ids(positions), np.full((count, 1), answer[0])], axis=1)
            asked[:, :left, choice] = np.take_along_axis(following, after, axis=1)
        return asked

    def store(self, rows: Sequence[int], logprobs: LogprobTensors) -> None:
        """Keep the scores of some rows."""
        chosen = list(rows)
        self._found[0, chosen] = self._objective.evaluate(logprobs).numpy()
        self._found[1, chosen] = logprobs.reasoning.sum(dim=-1, dtype=torch.float64).numpy()
        self._found[2, chosen] = logprobs.answer.sum(dim=-1, dtype=torch.float64).numpy()
        self._logprobs |= dict(
            zip(chosen, zip(logprobs.reasoning.numpy(), logprobs.answer.numpy(), strict=True), strict=True)
        )
        self.waiting.difference_update(chosen)

    @property
    def scores(self) -> DeletionScores:
        """The scores, one for each deletion asked for, in their order."""
        return DeletionScores(*self._found[:, self._row_of])

    @property
    def logprobs(self) -> FloatArray:
        """What was predicted of the tokens that are left, [deletion, kept token + answer token]; NaN where not read."""
        found = np.full((len(self._left), self._length), np.nan, dtype=np.float32)
        for values, row, left in zip(found, self._row_of, self._left, strict=True):
            reasoning, answer = self._logprobs[row]
            values[np.searchsorted(self.kept, left)] = reasoning
            values[self._read : self._read + len(answer)] = answer
        return found
