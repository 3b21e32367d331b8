"""The fast strategy for objectives that read the reasoning: predict every unit's score, then score the best ones.

For each unit it remembers how the unit's deletion changed the log-probability of every later token. Another deletion
alters these changes near itself, and hardly elsewhere, so most of them stay valid for many steps. Two parts of a
prediction are always up to date without reading: a token that was deleted since no longer counts, and the
log-probabilities of the unit's own tokens, which a deletion removes from the sum, are those of the chain as it is now.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from tokimp.chains.arrays import FloatArray, IntArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import LogprobTensors, Objective
from tokimp.contracts.scorer import Scorer
from tokimp_greedy.search_width import DEAR_CALL, SearchWidth
from tokimp_greedy.strategies import Audit, Deletion, FastStrategy


class PredictingStrategy(FastStrategy):
    """Predicts the score of every unit from remembered effects, and scores the best predictions exactly.

    The first step reads what every deletion leaves. A later step has three parts:

    1. It looks: it reads the deletions of units in a window around the last deletion anew, but only a few tokens far
       (the horizon): on the left side up to `horizon` tokens beyond the last deletion, on the right side up to
       `horizon` tokens beyond the last unit of the window. If the reasoning ends before that, the answer is read too.
    2. It predicts the objective after the deletion of each unit.
    3. It scores the best predictions (the beam) exactly, and the best of these is deleted.

    Looking takes a call of the model. Where calls are dear (the scorer's `call_cost` is `DEAR_CALL` or more, as on a
    GPU), a step does without it if the beam holds all units that are left, or if it costs less to score the units of
    the window to the end. Then one call scores the window, narrowed by up to half if need be, and the beam of the
    other units.
    """

    def __init__(
        self, chain: TokenizedChain, scorer: Scorer, objective: Objective, width: SearchWidth, audit: Audit
    ) -> None:
        super().__init__(chain, scorer, objective, width, audit)
        # Columns are all tokens of the full chain: its reasoning, then its answer.
        columns = len(chain.reasoning_ids) + len(chain.answer_ids)
        self._answer = np.arange(len(chain.reasoning_ids), columns)
        self._current = np.full(columns, np.nan, dtype=np.float64)  # log-probabilities (nats) of the chain as it is now
        # How each unit's deletion changed them (nats), [unit, column], when it was last read there.
        self._effects = np.zeros((len(chain.units), columns), dtype=np.float32)
        self._last: int | None = None

    def choose(self, kept: Sequence[int], step: int) -> Deletion:
        """Return the best deletion among the units that are scored."""
        tokens = np.array(sorted(position for unit in kept for position in self._chain.units[unit]), dtype=np.int64)
        units = list(kept)
        if self._last is None:
            rows = self._read_first(units, tokens)
        else:
            near = self._near_enough(units, tokens, self._last)
            if near is None:
                self._look_around(units, tokens, self._last)
            chosen = self._best_predicted(units, tokens, near or [])
            units = units if step in self._audit.steps else chosen
            rows = self._read(units, tokens, None)
        values = self._objective_of(units, tokens, rows)
        self._check_numbers(units, values, step)
        if self._last is not None and step in self._audit.steps:
            self._audit.record(units, values, chosen)
        best = int(np.argmax(values))  # the first of equal ones, which is the leftmost
        self._last, left = units[best], rows[best]
        self._current[np.append(tokens, self._answer)] = left
        # NaN stands at the deleted unit's own tokens, and only there.
        reasoning, answer = np.nansum(left[: len(tokens)], dtype=np.float64), left[len(tokens) :].sum(dtype=np.float64)
        return Deletion(units[best], float(values[best]), float(reasoning), float(answer))

    def _read_first(self, units: list[int], tokens: IntArray) -> FloatArray:
        """Read what every deletion leaves, and the chain as it is; return the former, [unit, token]."""
        deleted = [self._chain.units[unit] for unit in units]
        rows = self._scorer.deletion_logprobs(self._chain, tokens.tolist(), [*deleted, ()])
        self._current[np.append(tokens, self._answer)] = rows[-1]
        self._remember(units, tokens, rows[:-1])
        return rows[:-1]

    def _read(self, units: Sequence[int], tokens: IntArray, until: int | None) -> FloatArray:
        """Read what some deletions leave, up to the kept token `until`; return log-probabilities, [unit, token]."""
        deleted = [self._chain.units[unit] for unit in units]
        rows = self._scorer.deletion_logprobs(self._chain, tokens.tolist(), deleted, until=until)
        self._remember(units, tokens, rows)
        return rows

    def _remember(self, units: Sequence[int], tokens: IntArray, rows: FloatArray) -> None:
        columns = np.append(tokens, self._answer)
        # A token that is impossible (minus infinity) before and after the deletion counts as not changed.
        with np.errstate(invalid="ignore"):
            effects = np.where(
                np.isneginf(rows) & np.isneginf(self._current[columns]), 0, rows - self._current[columns]
            )
        for unit, row, effect in zip(units, rows, effects, strict=True):
            was_read = ~np.isnan(row)
            self._effects[unit, columns[was_read]] = effect[was_read]

    def _near_enough(self, units: list[int], tokens: IntArray, deleted: int) -> list[int] | None:
        """Return the units near the last deletion to score to the end in place of a look.

        ``None`` if looking is cheaper; none at all where the beam holds all units.
        """
        if self._scorer.call_cost < DEAR_CALL:
            return None
        if len(units) <= self._width.beam:
            return []
        starts = np.searchsorted(tokens, [self._chain.units[unit][0] for unit in units])
        gap = int(np.searchsorted(tokens, self._chain.units[deleted][0]))
        place, end = int(np.searchsorted(units, deleted)), len(tokens) + len(self._answer)
        for window in range(self._width.window, (self._width.window - 1) // 2, -1):
            side = slice(max(0, place - window), place + window)
            if (end - np.maximum(starts[side], gap)).sum() <= self._scorer.call_cost:
                return units[side]
        return None

    def _look_around(self, units: list[int], tokens: IntArray, deleted: int) -> None:
        """Read the deletions of units on both sides of the last deletion, up to the horizon."""
        place, unit_tokens = int(np.searchsorted(units, deleted)), self._chain.units
        gap = int(np.searchsorted(tokens, unit_tokens[deleted][0]))
        sides: list[tuple[list[int], int]] = []
        for side in (units[max(0, place - self._width.window) : place], units[place : place + self._width.window]):
            if side:
                last = max(int(np.searchsorted(tokens, unit_tokens[unit][-1])) + 1 for unit in side)
                sides.append((side, max(gap, last) + self._width.horizon))
        # The units on the left need not be read as far as those on the right, but a call more can cost more than that.
        if len(sides) == 2 and len(sides[0][0]) * (sides[1][1] - sides[0][1]) < self._scorer.call_cost:
            sides = [(sides[0][0] + sides[1][0], sides[1][1])]
        for side, until in sides:
            self._read(side, tokens, until if until < len(tokens) else None)

    def _best_predicted(self, units: list[int], tokens: IntArray, near: list[int]) -> list[int]:
        """Return units near the last deletion and, of the others, those with the highest predicted objective."""
        columns = np.append(tokens, self._answer)
        with np.errstate(invalid="ignore"):
            predicted = self._current[columns] + self._effects[np.array(units)[:, None], columns]
        values = np.nan_to_num(self._objective_of(units, tokens, predicted), nan=-np.inf)
        ranked = [units[index] for index in np.argsort(-values, kind="stable")]
        taken = set(near)
        best = [unit for unit in ranked if unit not in taken][: self._width.beam]
        return sorted(near + best)

    def _objective_of(self, units: Sequence[int], tokens: IntArray, rows: FloatArray) -> FloatArray:
        """Return the objective, [unit], of the log-probabilities after each unit's deletion.

        Parameters
        ----------
        units
            The units.
        tokens
            Positions of the reasoning that is kept, the units' own included, [kept token].
        rows
            Log-probabilities in nats, [unit, kept token + answer token]; those at a unit's own tokens do not count.
        """
        values = np.empty(len(units))
        sizes = np.array([len(self._chain.units[unit]) for unit in units])
        for size in np.unique(sizes):  # the objective evaluates rows of one length together
            group = np.flatnonzero(sizes == size)
            own = np.searchsorted(tokens, np.array([self._chain.units[units[index]] for index in group.tolist()]))
            is_left = np.ones((len(group), rows.shape[1]), dtype=bool)
            np.put_along_axis(is_left, own, values=False, axis=1)
            left = torch.from_numpy(rows[group][is_left].reshape(len(group), -1))
            end = len(tokens) - size
            logprobs = LogprobTensors(left[:, :end], left[:, end:], answer_value=self._chain.answer_value)
            values[group] = self._objective.evaluate(logprobs).numpy()
        return values
