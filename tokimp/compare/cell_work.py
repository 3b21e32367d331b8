"""The work of a comparison: what workers need to know once, and what they do for each piece."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from tokimp.chains.chain import TokenizedChain
from tokimp.compare.cell import Cell, UnprunedLogprobs
from tokimp.compare.run_cell import run_cell, score_unpruned
from tokimp.compare.wrong_answers import second_choice
from tokimp.contracts.estimator import ImportanceEstimator
from tokimp.contracts.executor import Failure
from tokimp.contracts.objective import Objective
from tokimp.contracts.scorer import Scorer
from tokimp.contracts.subset_scores import SubsetMemory


@dataclass(frozen=True, slots=True)
class Unpruned:
    """Ask for the log-probabilities of chains from which nothing is deleted."""

    chains: Sequence[TokenizedChain]


@dataclass(frozen=True, slots=True)
class CellsOf:
    """Ask for the cells of an estimator, by its index, on a group of chains, which are read together."""

    estimator: int
    chains: Sequence[TokenizedChain]


@dataclass(frozen=True, slots=True)
class WrongAnswer:
    """Ask for an answer that the model gives to a chain's question beside the chain's own."""

    chain: TokenizedChain


Asked = Unpruned | CellsOf | WrongAnswer
Result = list[UnprunedLogprobs | Failure] | list[Cell | Failure] | str


@dataclass(frozen=True, slots=True)
class AskForCells:
    """Computes cells, log-probabilities of unpruned chains, and wrong answers: what `ScorerWork` calls.

    Attributes
    ----------
    estimators, objective, seed
        As of `tokimp.compare.compare.compare`.
    subset_memory
        What is known of subsets of chains; each worker has its own, and begins with nothing.
    """

    estimators: Sequence[ImportanceEstimator]
    objective: Objective
    seed: int
    subset_memory: SubsetMemory | None

    def __call__(self, scorer: Scorer, asked: Asked) -> Result:
        """Return what a piece asks for."""
        if isinstance(asked, Unpruned):
            return [_outcome(partial(score_unpruned, chain), scorer) for chain in asked.chains]
        if isinstance(asked, WrongAnswer):
            return second_choice(asked.chain, scorer, self.seed)
        tasks = [partial(self._cell, asked.estimator, chain) for chain in asked.chains]
        if len(tasks) == 1:
            return [_outcome(tasks[0], scorer)]
        return [_cell_or_failure(outcome) for outcome in scorer.run_side_by_side(tasks)]

    def _cell(self, estimator: int, chain: TokenizedChain, scorer: Scorer) -> Cell:
        return run_cell(
            chain,
            scorer,
            self.estimators[estimator],
            self.objective,
            seed=self.seed,
            subset_memory=self.subset_memory,
        )


T = TypeVar("T")


def _outcome(task: Callable[[Scorer], T], scorer: Scorer) -> T | Failure:
    try:
        return task(scorer)
    except Exception as error:  # noqa: BLE001 - whoever asked decides what becomes of it
        return Failure.of(error)


def _cell_or_failure(outcome: Cell | BaseException) -> Cell | Failure:
    if isinstance(outcome, Cell):
        return outcome
    if not isinstance(outcome, Exception):
        raise outcome
    return Failure.of(outcome)
