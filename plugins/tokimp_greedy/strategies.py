"""Which units a step of greedy pruning scores: all of them, or those whose scores may have changed most."""

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
from tokimp_greedy.search_width import Looks


@dataclass(frozen=True, slots=True)
class Deletion:
    """The unit that a step deletes, and the numbers (nats) of what is left."""

    unit: int
    objective: float
    reasoning: float
    answer: float


class Candidates(ABC):
    """Chooses the unit to delete among those still kept, from exact scores of the units it looks at."""

    def __init__(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> None:
        self._chain, self._scorer, self._objective = chain, scorer, objective

    @abstractmethod
    def best(self, kept: Sequence[int], step: int) -> Deletion:
        """Return the deletion to make; of equal ones the leftmost."""

    @abstractmethod
    def diagnostics(self) -> dict[str, float]:
        """Return what is to be said of how the choices were made."""

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


class AllCandidates(Candidates):
    """Every unit at every step: the paper's procedure."""

    def best(self, kept: Sequence[int], step: int) -> Deletion:
        """Return the deletion that leaves the highest objective."""
        return _highest(kept, self._score(kept, kept, step))

    def diagnostics(self) -> dict[str, float]:
        """Return nothing: no choice is an approximation."""
        return {}


class Audit:
    """How good the choices of a fast run are: at some steps all units are scored.

    Parameters
    ----------
    steps
        Which.
    """

    def __init__(self, steps: frozenset[int]) -> None:
        self.steps = steps
        self._losses: list[float] = []

    def record(self, units: Sequence[int], objective: FloatArray, chosen: Sequence[int]) -> None:
        """Compare the best of all `units`, whose objectives are given, with the best of those that were chosen."""
        would = objective[np.isin(units, chosen)].max()
        self._losses.append(float(objective.max() - would))

    def diagnostics(self) -> dict[str, float]:
        """Return the steps audited, the share whose choice was the best one, and the mean nats below the best."""
        losses = np.array(self._losses)
        return {
            "audited_steps": float(len(losses)),
            "audit_agreement": float(np.mean(losses == 0)) if len(losses) else float("nan"),
            "audit_loss": float(losses.mean()) if len(losses) else float("nan"),
        }


class FastCandidates(Candidates):
    """The best of some units only, audited.

    Parameters
    ----------
    chain, scorer, objective
        What is pruned, who scores, and by which number.
    looks
        What a step looks at.
    audit
        At its steps all units are scored, and the best one goes.
    """

    def __init__(self, chain: TokenizedChain, scorer: Scorer, objective: Objective, looks: Looks, audit: Audit) -> None:
        super().__init__(chain, scorer, objective)
        self._looks, self._audit = looks, audit

    def diagnostics(self) -> dict[str, float]:
        """Return what the audit found."""
        return self._audit.diagnostics()


class NearAndBestCandidates(FastCandidates):
    """After a first step that scores all: the units near the last deletion, and those last seen to cost least.

    For objectives that read the answer alone, where no part of a score can be read early. A deletion changes the scores
    of its neighbours much and of distant units little. What is remembered of a unit is the change its deletion made to
    the objective, not the objective, which falls for all with every step.
    """

    def __init__(self, chain: TokenizedChain, scorer: Scorer, objective: Objective, looks: Looks, audit: Audit) -> None:
        super().__init__(chain, scorer, objective, looks, audit)
        self._change: FloatArray = np.full(len(chain.units), np.nan)
        self._last: Deletion | None = None

    def best(self, kept: Sequence[int], step: int) -> Deletion:
        """Return the best deletion among the units looked at."""
        if self._last is None:
            scores = self._score(kept, kept, step, and_none=True)
            before = float(scores.objective[-1])
            scores = DeletionScores(scores.objective[:-1], scores.reasoning[:-1], scores.answer[:-1])
            units = list(kept)
        else:
            before = self._last.objective
            units = self._look_at(kept, self._last.unit)
            chosen = units
            if step in self._audit.steps:
                units = list(kept)
            scores = self._score(kept, units, step)
            if step in self._audit.steps:
                self._audit.record(units, scores.objective, chosen)
        # A run may pass through objectives of minus infinity, whose difference is no number: such a unit comes last.
        with np.errstate(invalid="ignore"):
            self._change[units] = np.nan_to_num(scores.objective - before, nan=-np.inf, neginf=-np.inf, posinf=np.inf)
        self._last = _highest(units, scores)
        return self._last

    def _look_at(self, kept: Sequence[int], deleted: int) -> list[int]:
        units = np.asarray(kept)
        place = int(np.searchsorted(units, deleted))
        near = units[max(0, place - self._looks.window) : place + self._looks.window]
        best = units[np.argsort(-self._change[units], kind="stable")[: self._looks.beam]]
        return [int(unit) for unit in np.union1d(near, best)]


def _highest(units: Sequence[int], scores: DeletionScores) -> Deletion:
    best = int(np.argmax(scores.objective))  # the first of equal ones: the leftmost
    return Deletion(
        units[best], float(scores.objective[best]), float(scores.reasoning[best]), float(scores.answer[best])
    )


def audited_steps(steps: int, count: int) -> frozenset[int]:
    """Return `count` steps spread evenly over a run of `steps`; never the first, which scores all anyway.

    Examples
    --------
    >>> sorted(audited_steps(100, 4))
    [12, 37, 62, 87]
    >>> sorted(audited_steps(3, 4))
    [1, 2]
    """
    return frozenset(int((index + 0.5) * steps / count) for index in range(count)) - {0}
