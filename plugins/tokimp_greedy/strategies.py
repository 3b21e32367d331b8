"""Strategies of greedy pruning: which units a step scores before it deletes the best of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import Objective
from tokimp.contracts.scorer import DeletionScores, Scorer
from tokimp.contracts.unit_deletions import score_unit_deletions
from tokimp.errors import EstimatorError
from tokimp_greedy.search_width import SearchWidth


@dataclass(frozen=True, slots=True)
class Deletion:
    """The unit that a step deletes, and the numbers of what is left, in nats.

    Attributes
    ----------
    unit
        Index into the chain's units.
    objective, reasoning, answer
        The objective, and the log-likelihoods of reasoning and answer; NaN where the objective does not read them.
    """

    unit: int
    objective: float
    reasoning: float
    answer: float


class Strategy(ABC):
    """Chooses, at each step, the unit to delete among those that are kept.

    Parameters
    ----------
    chain
        The chain that is pruned.
    scorer
        The model that scores what deletions leave.
    objective
        The number that is to stay as high as possible.
    """

    def __init__(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> None:
        self._chain, self._scorer, self._objective = chain, scorer, objective

    @abstractmethod
    def choose(self, kept: Sequence[int], step: int) -> Deletion:
        """Return the deletion to make, the leftmost of equally good ones.

        Parameters
        ----------
        kept
            Indices of the units that are kept, ascending.
        step
            The number of the step, from 0.

        Raises
        ------
        EstimatorError
            If the objective is not a number (NaN) after a deletion.
        """

    @abstractmethod
    def diagnostics(self) -> dict[str, float]:
        """Return numbers about how good the choices were, by name."""

    def _score(self, kept: Sequence[int], units: Sequence[int], step: int, *, and_none: bool = False) -> DeletionScores:
        chain = self._chain
        if len(units) == len(kept):
            scores = score_unit_deletions(self._scorer, chain, kept, self._objective, and_none=and_none)
        else:
            tokens = sorted(position for unit in kept for position in chain.units[unit])
            scores = self._scorer.score_deletions(chain, tokens, [chain.units[u] for u in units], self._objective)
        self._check_numbers(units, scores.objective[: len(units)], step)
        return scores

    def _check_numbers(self, units: Sequence[int], objective: FloatArray, step: int) -> None:
        missing = np.flatnonzero(np.isnan(objective))
        if len(missing):
            raise EstimatorError(
                f"{self._chain.chain.where}: the objective {self._objective.name!r} is not a number (NaN) once "
                f"{self._chain.unit} {units[missing[0]]} is deleted at step {step}; check the model's numbers in this "
                f"precision ({self._scorer.dtype})"
            )


class ExactStrategy(Strategy):
    """Scores every unit at every step: the procedure of the paper."""

    def choose(self, kept: Sequence[int], step: int) -> Deletion:
        """Return the deletion that leaves the highest objective of all."""
        return _highest(kept, self._score(kept, kept, step))

    def diagnostics(self) -> dict[str, float]:
        """Return an empty dictionary: every choice is the best one."""
        return {}


class Audit:
    """A record of how good the choices of a fast run are, taken at steps that score all units.

    Parameters
    ----------
    steps
        The steps that score all units.
    """

    def __init__(self, steps: frozenset[int]) -> None:
        self.steps = steps
        self._losses: list[float] = []

    def record(self, units: Sequence[int], objective: FloatArray, chosen: Sequence[int]) -> None:
        """Record how far the best of the units that a fast step would score is below the best of all.

        Parameters
        ----------
        units
            All units that are kept.
        objective
            The objective after the deletion of each of them, [unit].
        chosen
            The units that would have been scored if the step were not audited.
        """
        best_chosen = objective[np.isin(units, chosen)].max()
        self._losses.append(float(objective.max() - best_chosen))

    def diagnostics(self) -> dict[str, float]:
        """Return the number of audited steps, the share with the best choice, and the mean loss in nats."""
        losses = np.array(self._losses)
        return {
            "audited_steps": float(len(losses)),
            "audit_agreement": float(np.mean(losses == 0)) if len(losses) else float("nan"),
            "audit_loss": float(losses.mean()) if len(losses) else float("nan"),
        }


class FastStrategy(Strategy):
    """Scores only some of the units at most steps, and all of them at audited steps.

    Parameters
    ----------
    chain, scorer, objective
        As for `Strategy`.
    width
        How many units a step looks at.
    audit
        The record. At its steps all units are scored, and the best of all is deleted.
    """

    def __init__(
        self, chain: TokenizedChain, scorer: Scorer, objective: Objective, width: SearchWidth, audit: Audit
    ) -> None:
        super().__init__(chain, scorer, objective)
        self._width, self._audit = width, audit

    def diagnostics(self) -> dict[str, float]:
        """Return what the audit recorded."""
        return self._audit.diagnostics()


class NearAndBestStrategy(FastStrategy):
    """Scores the units near the last deletion, and those that cost least when they were last scored.

    It is for objectives that read the answer alone: their value is known only when a row is read to its end, so it
    cannot be predicted from a few tokens. The first step scores all units. Later, a deletion changes the scores of its
    neighbours much and those of distant units little, so the distant ones are taken from memory. Remembered is how
    much a unit's deletion changed the objective, because the objective itself falls for all units at every step.
    """

    def __init__(
        self, chain: TokenizedChain, scorer: Scorer, objective: Objective, width: SearchWidth, audit: Audit
    ) -> None:
        super().__init__(chain, scorer, objective, width, audit)
        self._change: FloatArray = np.full(len(chain.units), np.nan)  # of the objective, by each unit's deletion
        self._last: Deletion | None = None

    def choose(self, kept: Sequence[int], step: int) -> Deletion:
        """Return the best deletion among the units that are scored."""
        if self._last is None:
            scores = self._score(kept, kept, step, and_none=True)
            current = float(scores.objective[-1])
            scores = DeletionScores(scores.objective[:-1], scores.reasoning[:-1], scores.answer[:-1])
            units = list(kept)
        else:
            current = self._last.objective
            units = chosen = self._near_and_best(kept, self._last.unit)
            if step in self._audit.steps:
                units = list(kept)
            scores = self._score(kept, units, step)
            if step in self._audit.steps:
                self._audit.record(units, scores.objective, chosen)
        # Objectives may be minus infinity, and the difference of two of them is NaN: such a unit comes last.
        with np.errstate(invalid="ignore"):
            self._change[units] = np.nan_to_num(scores.objective - current, nan=-np.inf, neginf=-np.inf, posinf=np.inf)
        self._last = _highest(units, scores)
        return self._last

    def _near_and_best(self, kept: Sequence[int], deleted: int) -> list[int]:
        units = np.asarray(kept)
        place = int(np.searchsorted(units, deleted))
        near = units[max(0, place - self._width.window) : place + self._width.window]
        best = units[np.argsort(-self._change[units], kind="stable")[: self._width.beam]]
        return [int(unit) for unit in np.union1d(near, best)]


def _highest(units: Sequence[int], scores: DeletionScores) -> Deletion:
    best = int(np.argmax(scores.objective))  # the first of equal ones, which is the leftmost
    return Deletion(
        units[best], float(scores.objective[best]), float(scores.reasoning[best]), float(scores.answer[best])
    )


def audited_steps(steps: int, count: int) -> frozenset[int]:
    """Return `count` steps, spread evenly over a run of `steps`, without step 0, which scores all units anyway.

    Examples
    --------
    >>> sorted(audited_steps(100, 4))
    [12, 37, 62, 87]
    >>> sorted(audited_steps(3, 4))
    [1, 2]
    """
    return frozenset(int((index + 0.5) * steps / count) for index in range(count)) - {0}
