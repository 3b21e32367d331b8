"""The cells of a run, in their order: each stored or computed, one chain after the other or several side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from tokimp.chains.chain import TokenizedChain
from tokimp.compare.cell import Cell, UnprunedLogprobs
from tokimp.compare.journal import Journal
from tokimp.compare.remaining_time import RemainingTime
from tokimp.compare.run_cell import run_cell, score_unpruned
from tokimp.contracts.estimator import ImportanceEstimator
from tokimp.contracts.objective import Objective
from tokimp.contracts.progress import Progress
from tokimp.contracts.scorer import Scorer
from tokimp.contracts.subset_scores import SubsetMemory
from tokimp.errors import TokimpError


def resolve_chains_at_once(chains_at_once: int | str, scorer: Scorer) -> int:
    """Return how many chains are asked about side by side.

    Parameters
    ----------
    chains_at_once
        A number, or ``"auto"``: as many as the scorer reads best.
    scorer
        The scorer.

    Raises
    ------
    TokimpError
        If it is neither.
    """
    if chains_at_once == "auto":
        return scorer.chains_at_once
    # A bool is an int to Python.
    if type(chains_at_once) is not int or chains_at_once < 1:
        raise TokimpError(f"chains_at_once={chains_at_once!r} is not allowed; give 'auto' or a whole number, 1 or more")
    return chains_at_once


class Cells:
    """Computes the cells of a run, and stores each before the next.

    Chains form groups of a fixed size, in their order. An estimator is asked about all chains of a group side by side
    (`Scorer.run_side_by_side`), which can change the last bits of its numbers. So what is asked together follows from
    the run alone: where a cell of a group is missing, the estimator is asked about the whole group again.

    Parameters
    ----------
    chains, estimators, objective, scorer
        What is asked of whom.
    journal
        Stores the cells; ``None`` for a run that is not stored.
    seed
        The seed of the run.
    chains_at_once
        The size of a group.
    subset_memory
        What is known of subsets of chains; it is used if a group is one chain.
    progress
        Called after each cell.
    """

    def __init__(
        self,
        chains: Sequence[TokenizedChain],
        scorer: Scorer,
        estimators: Sequence[ImportanceEstimator],
        objective: Objective,
        *,
        journal: Journal | None,
        seed: int,
        chains_at_once: int = 1,
        subset_memory: SubsetMemory | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> None:
        self._chains, self._scorer, self._estimators, self._objective = chains, scorer, estimators, objective
        self._journal, self._seed, self._group_size, self._progress = journal, seed, chains_at_once, progress
        # Side by side, what one chain finds there would change what the others are read with, and so their last bits.
        self._subset_memory = subset_memory if chains_at_once == 1 else None
        self._remaining = RemainingTime(chains, estimators)
        # A label is put together anew from the parameters each time it is asked for.
        self._labels = [estimator.label for estimator in estimators]
        # Running sums: to add up all cells again after each one would take quadratic time.
        self._done = self._tokens_forwarded = 0

    def run(self) -> tuple[list[UnprunedLogprobs], list[list[Cell]]]:
        """Return the log-probabilities of each chain, [chain], and the cells, [chain][estimator].

        Raises
        ------
        EstimatorError
            If an estimator fails on a chain. Its cells of the other chains of the group are stored before.
        """
        unpruned: list[UnprunedLogprobs] = []
        cells: list[list[Cell]] = []
        for group in self._groups():
            for index in group:
                unpruned.append(self._unpruned(index))
                cells.append([])
            for column in range(len(self._estimators)):
                for index, cell in zip(group, self._cells(group, column), strict=True):
                    cells[index].append(cell)
        return unpruned, cells

    def _groups(self) -> Iterator[range]:
        for begin in range(0, len(self._chains), self._group_size):
            yield range(begin, min(begin + self._group_size, len(self._chains)))

    def _unpruned(self, index: int) -> UnprunedLogprobs:
        logprobs = self._journal.unpruned(index) if self._journal else None
        if logprobs is None:
            logprobs = score_unpruned(self._chains[index], self._scorer)
            if self._journal:
                self._journal.store_unpruned(index, logprobs)
        return logprobs

    def _cells(self, group: range, column: int) -> list[Cell]:
        """Return an estimator's cells of a group of chains."""
        stored = [self._journal.cell(index, column) if self._journal else None for index in group]
        cells = [cell for cell in stored if cell is not None]
        if len(cells) == len(group):
            for index, cell in zip(group, cells, strict=True):
                self._report(index, column, cell, kept=True)
            return cells
        tasks = [partial(self._compute, index, column) for index in group]
        outcomes = [tasks[0](self._scorer)] if len(tasks) == 1 else self._scorer.run_side_by_side(tasks)
        computed: list[Cell] = []
        problems: list[BaseException] = []
        for index, outcome in zip(group, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                problems.append(outcome)
                continue
            if self._journal:
                self._journal.store_cell(index, column, outcome)
            computed.append(outcome)
            self._report(index, column, outcome, kept=False)
        if problems:
            raise problems[0]
        return computed

    def _compute(self, index: int, column: int, scorer: Scorer) -> Cell:
        return run_cell(
            self._chains[index],
            scorer,
            self._estimators[column],
            self._objective,
            seed=self._seed,
            subset_memory=self._subset_memory,
        )

    def _report(self, index: int, column: int, cell: Cell, *, kept: bool) -> None:
        self._done += 1
        self._tokens_forwarded += cell.tokens_forwarded
        self._remaining.add(index, column, cell)
        if self._progress:
            self._progress(
                Progress(
                    done=self._done,
                    total=len(self._chains) * len(self._estimators),
                    chain_id=self._chains[index].id,
                    estimator=self._labels[column],
                    kept=kept,
                    tokens_forwarded=self._tokens_forwarded,
                    seconds_left=self._remaining.seconds_left(),
                )
            )
