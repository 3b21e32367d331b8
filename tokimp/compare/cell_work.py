"""The work of a comparison: what workers need to know once, and what they do for each piece."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from tokimp.chains.chain import TokenizedChain
from tokimp.compare.cell import Cell, UnprunedLogprobs
from tokimp.compare.executors.worker_side import worker_fault
from tokimp.compare.run_cell import run_cell, score_unpruned
from tokimp.compare.wrong_answers import second_choice
from tokimp.contracts.estimator import ImportanceEstimator
from tokimp.contracts.executor import Executor, Failure, Work
from tokimp.contracts.objective import Objective
from tokimp.contracts.scorer import Scorer
from tokimp.contracts.scorer_recipe import ScorerRecipe
from tokimp.contracts.subset_scores import SubsetMemory
from tokimp.models.kept_scorer import kept_scorer, recipe_for_workers


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
Result = list[UnprunedLogprobs] | list[Cell | Failure] | str


class CellWork(Work):
    """Computes cells, log-probabilities of unpruned chains, and wrong answers.

    Parameters
    ----------
    scorer
        The scorer, or what a worker loads it from.
    fingerprint
        The fingerprint that a worker's scorer has to have; empty if it has none.
    estimators, objective, seed
        As of `tokimp.compare.compare.compare`.
    subset_memory
        What is known of subsets of chains; each worker has its own, and begins with nothing.
    """

    def __init__(
        self,
        scorer: Scorer | ScorerRecipe,
        estimators: Sequence[ImportanceEstimator],
        objective: Objective,
        *,
        fingerprint: str,
        seed: int,
        subset_memory: SubsetMemory | None,
    ) -> None:
        self._scorer, self._fingerprint = scorer, fingerprint
        self._estimators, self._objective, self._seed = estimators, objective, seed
        self._subset_memory = subset_memory
        self.device = scorer.device

    @classmethod
    def for_executor(
        cls,
        executor: Executor,
        scorer: Scorer,
        estimators: Sequence[ImportanceEstimator],
        objective: Objective,
        *,
        fingerprint: str,
        seed: int,
        subset_memory: SubsetMemory | None,
    ) -> CellWork:
        """Return work that an executor can do: with the scorer itself here, with what it was loaded from elsewhere.

        Raises
        ------
        UnsupportedError
            If the work is done elsewhere, and the scorer was made of objects in memory.
        """
        if executor.here:
            return cls(scorer, estimators, objective, fingerprint=fingerprint, seed=seed, subset_memory=subset_memory)
        memory = None if subset_memory is None else SubsetMemory()
        recipe = recipe_for_workers(scorer)
        return cls(recipe, estimators, objective, fingerprint=fingerprint, seed=seed, subset_memory=memory)

    def prepare(self) -> Callable[[Asked], Result]:
        """Load the scorer, unless it is here already."""
        is_here = isinstance(self._scorer, Scorer)
        return partial(self._do, self._scorer if is_here else kept_scorer(self._scorer, self._fingerprint))  # type: ignore[arg-type] # told apart above

    def fault(self, result: Result) -> str:
        """Return why a cell failed, if memory ran out or a GPU failed, and so the worker cannot go on."""
        failures = [one for one in result if isinstance(one, Failure)]
        return next(filter(None, (worker_fault(failure.error) for failure in failures)), "")

    def _do(self, scorer: Scorer, asked: Asked) -> Result:
        if isinstance(asked, Unpruned):
            return [score_unpruned(chain, scorer) for chain in asked.chains]
        if isinstance(asked, WrongAnswer):
            return second_choice(asked.chain, scorer, self._seed)
        tasks = [partial(self._cell, asked.estimator, chain) for chain in asked.chains]
        outcomes = _alone(tasks[0], scorer) if len(tasks) == 1 else scorer.run_side_by_side(tasks)
        return [_cell_or_failure(outcome) for outcome in outcomes]

    def _cell(self, estimator: int, chain: TokenizedChain, scorer: Scorer) -> Cell:
        return run_cell(
            chain,
            scorer,
            self._estimators[estimator],
            self._objective,
            seed=self._seed,
            subset_memory=self._subset_memory,
        )


def _alone(task: Callable[[Scorer], Cell], scorer: Scorer) -> list[Cell | BaseException]:
    try:
        return [task(scorer)]
    except Exception as error:  # noqa: BLE001 - whoever asked for the cell decides what becomes of it
        return [error]


def _cell_or_failure(outcome: Cell | BaseException) -> Cell | Failure:
    if isinstance(outcome, Cell):
        return outcome
    if not isinstance(outcome, Exception):
        raise outcome
    return Failure.of(outcome)
