"""Fast choice of deletions where the objective reads the reasoning: predict every unit's score, score the best.

What deleting a unit does to the tokens after it is remembered token by token. Another deletion changes that much near
itself and little elsewhere, so most of what is remembered stays good for many steps; and part of what does change is
known without reading: what the unit did to a token that has gone, and how likely the unit's own tokens are now.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from tokimp.chains.arrays import FloatArray, IntArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import LogprobTensors, Objective
from tokimp.contracts.scorer import Scorer
from tokimp_greedy.search_width import Looks
from tokimp_greedy.strategies import Audit, Deletion, FastCandidates


class PredictedCandidates(FastCandidates):
    """The best of the units that a prediction puts first, by exact scores.

    The first step reads all units. A later one reads the units near the last deletion anew, up to a little beyond it:
    those on the left up to so many tokens beyond it as the horizon has, those on the right up to so many beyond the
    last of them; where the reasoning ends before, the answer too. Then it predicts the objective after each unit's
    deletion, and scores the best predictions exactly.
    """

    def __init__(self, chain: TokenizedChain, scorer: Scorer, objective: Objective, looks: Looks, audit: Audit) -> None:
        super().__init__(chain, scorer, objective, looks, audit)
        tokens = len(chain.reasoning_ids) + len(chain.answer_ids)
        self._answer = np.arange(len(chain.reasoning_ids), tokens)
        # Log-probabilities (nats) of what is kept, and how deleting a unit changed them when the two were last read.
        self._current = np.full(tokens, np.nan, dtype=np.float64)
        self._effects = np.zeros((len(chain.units), tokens), dtype=np.float32)
        self._last: int | None = None

    def best(self, kept: Sequence[int], step: int) -> Deletion:
        """Return the best deletion among the units that are scored."""
        tokens = np.array(sorted(position for unit in kept for position in self._chain.units[unit]), dtype=np.int64)
        units = list(kept)
        if self._last is None:
            rows = self._read_first(units, tokens)
        else:
            self._read_around(units, tokens, self._last)
            chosen = self._promising(units, tokens)
            units = units if step in self._audit.steps else chosen
            rows = self._read(units, tokens, None)
        values = self._objective_of(units, tokens, rows)
        self._check_numbers(units, values, step)
        if self._last is not None and step in self._audit.steps:
            self._audit.record(units, values, chosen)
        best = int(np.argmax(values))  # the first of equal ones: the leftmost
        self._last, left = units[best], rows[best]
        self._current[np.append(tokens, self._answer)] = left
        # The deleted unit's own tokens are the only ones that are no number.
        reasoning, answer = np.nansum(left[: len(tokens)], dtype=np.float64), left[len(tokens) :].sum(dtype=np.float64)
        return Deletion(units[best], float(values[best]), float(reasoning), float(answer))

    def _read_first(self, units: list[int], tokens: IntArray) -> FloatArray:
        deleted = [self._chain.units[unit] for unit in units]
        rows = self._scorer.deletion_logprobs(self._chain, tokens.tolist(), [*deleted, ()])
        self._current[np.append(tokens, self._answer)] = rows[-1]
        self._remember(units, tokens, rows[:-1])
        return rows[:-1]

    def _read(self, units: Sequence[int], tokens: IntArray, until: int | None) -> FloatArray:
        deleted = [self._chain.units[unit] for unit in units]
        rows = self._scorer.deletion_logprobs(self._chain, tokens.tolist(), deleted, until=until)
        self._remember(units, tokens, rows)
        return rows

    def _remember(self, units: Sequence[int], tokens: IntArray, rows: FloatArray) -> None:
        columns = np.append(tokens, self._answer)
        # Two tokens that are impossible (minus infinity) differ by no number: nothing is known to change.
        with np.errstate(invalid="ignore"):
            effects = np.where(
                np.isneginf(rows) & np.isneginf(self._current[columns]), 0, rows - self._current[columns]
            )
        for unit, row, effect in zip(units, rows, effects, strict=True):
            read = ~np.isnan(row)
            self._effects[unit, columns[read]] = effect[read]

    def _read_around(self, units: list[int], tokens: IntArray, deleted: int) -> None:
        """Read the units on both sides of the last deletion up to a little beyond it."""
        place, unit_tokens = int(np.searchsorted(units, deleted)), self._chain.units
        gap = int(np.searchsorted(tokens, unit_tokens[deleted][0]))
        for side in (units[max(0, place - self._looks.window) : place], units[place : place + self._looks.window]):
            if side:
                last = max(int(np.searchsorted(tokens, unit_tokens[unit][-1])) + 1 for unit in side)
                until = max(gap, last) + self._looks.horizon
                self._read(side, tokens, until if until < len(tokens) else None)

    def _promising(self, units: list[int], tokens: IntArray) -> list[int]:
        """Return the units with the highest predicted objective, ascending."""
        columns = np.append(tokens, self._answer)
        with np.errstate(invalid="ignore"):
            predicted = self._current[columns] + self._effects[np.array(units)[:, None], columns]
        values = np.nan_to_num(self._objective_of(units, tokens, predicted), nan=-np.inf)
        return sorted(units[index] for index in np.argsort(-values, kind="stable")[: self._looks.beam])

    def _objective_of(self, units: Sequence[int], tokens: IntArray, rows: FloatArray) -> FloatArray:
        """Return the objective, [unit], of the log-probabilities after each unit's deletion.

        Parameters
        ----------
        units, tokens
            The units, and the positions that are kept, the units' own included.
        rows
            [unit, kept token + answer token]; what stands at a unit's own tokens is left out.
        """
        values = np.empty(len(units))
        sizes = np.array([len(self._chain.units[unit]) for unit in units])
        for size in np.unique(sizes):  # versions that are evaluated together are equally long
            group = np.flatnonzero(sizes == size)
            own = np.searchsorted(tokens, np.array([self._chain.units[units[index]] for index in group.tolist()]))
            there = np.ones((len(group), rows.shape[1]), dtype=bool)
            np.put_along_axis(there, own, values=False, axis=1)
            left = torch.from_numpy(rows[group][there].reshape(len(group), -1))
            end = len(tokens) - size
            values[group] = self._objective.evaluate(LogprobTensors(left[:, :end], left[:, end:])).numpy()
        return values
