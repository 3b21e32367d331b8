"""The cells of a run: each was stored before or is computed by an executor, for one chain or several side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

from tokimp.chains.chain import TokenizedChain
from tokimp.compare.cell import Cell, UnprunedLogprobs
from tokimp.compare.cell_work import CellsOf, Unpruned
from tokimp.compare.failed_cells import UNPRUNED, failed_cell, forget_failure, record_failure, record_traceback
from tokimp.compare.journal import Journal
from tokimp.compare.pace import Pace
from tokimp.compare.scorer_work import ScorerWork, as_raised_here
from tokimp.contracts.estimator import ImportanceEstimator
from tokimp.contracts.executor import Executor, Failure, Outcome, Piece
from tokimp.contracts.progress import Progress
from tokimp.contracts.scorer import Scorer
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
    """Lets an executor compute the cells of a run, and stores each as it comes back.

    Chains form groups of a fixed size, in their order. An estimator is asked about all chains of a group side by side
    (`Scorer.run_side_by_side`), which can change the last bits of its numbers. So what is asked together follows from
    the run alone: where a cell of a group is missing, the estimator is asked about the whole group again.

    Parameters
    ----------
    chains, estimators
        What is asked of whom.
    executor
        Where cells are computed.
    work
        Asks for cells (`tokimp.compare.cell_work.AskForCells`).
    journal
        Stores the cells; ``None`` for a run that is not stored.
    chains_at_once
        The size of a group.
    keep_going
        Whether a cell that fails is recorded and left out, rather than ending the run.
    progress
        Called after each cell.

    Attributes
    ----------
    left_out
        Why chains have no log-probabilities, by index, in a run that goes on.
    """

    def __init__(
        self,
        chains: Sequence[TokenizedChain],
        estimators: Sequence[ImportanceEstimator],
        executor: Executor,
        work: ScorerWork,
        *,
        journal: Journal | None,
        chains_at_once: int = 1,
        keep_going: bool = False,
        progress: Callable[[Progress], None] | None = None,
    ) -> None:
        self._chains, self._estimators = chains, estimators
        self._executor, self._work = executor, work
        self._journal, self._group_size, self._keep_going = journal, chains_at_once, keep_going
        # A label is put together anew from the parameters each time it is asked for.
        self._labels = [estimator.label for estimator in estimators]
        self._pace = Pace(chains, estimators, self._labels, progress)
        self._unpruned: dict[int, UnprunedLogprobs] = {}
        self._cells: dict[tuple[int, int], Cell] = {}
        self.left_out: dict[int, Failure] = {}

    def run(self) -> tuple[dict[int, UnprunedLogprobs], list[list[Cell]]]:
        """Return the log-probabilities of each unpruned chain, by index, and the cells, [chain][estimator].

        A chain without log-probabilities is one whose unpruned pass failed, in a run that goes on (`left_out`).

        Raises
        ------
        EstimatorError
            If an estimator fails on a chain and the run is not to go on. Its cells of the other chains of the group
            are stored before.
        ExecutorError
            If a piece was lost with its workers, and the run is not to go on.
        """
        groups: dict[int, range] = {}
        pieces: list[Piece] = []
        for group in self._groups():
            for piece in self._missing(group, first=len(pieces)):
                groups[piece.index] = group
                pieces.append(piece)
        with closing(self._executor.run(self._work, pieces, self._pace.watch)) as outcomes:
            for outcome in outcomes:
                self._take(outcome, groups[outcome.piece.index])
        chains, columns = range(len(self._chains)), range(len(self._estimators))
        return self._unpruned, [[self._cells[chain, column] for column in columns] for chain in chains]

    def _groups(self) -> Iterator[range]:
        for begin in range(0, len(self._chains), self._group_size):
            yield range(begin, min(begin + self._group_size, len(self._chains)))

    def _missing(self, group: range, first: int) -> Iterator[Piece]:
        """Take what is stored of a group of chains; yield a piece for each thing that is not."""
        if self._journal:
            stored = {index: self._journal.unpruned(index) for index in group}
            self._unpruned |= {index: logprobs for index, logprobs in stored.items() if logprobs is not None}
        index = first
        unscored = [self._chains[chain] for chain in group if chain not in self._unpruned]
        if unscored:
            weight = float(sum(map(len, unscored)))
            yield Piece(index, f"{unscored[0].chain.where}, unpruned", Unpruned(unscored), weight, len(unscored))
            index += 1
        for column, label in enumerate(self._labels):
            if self._stored(group, column):
                continue
            asked = CellsOf(column, [self._chains[chain] for chain in group])
            weight = sum(self._pace.weight(chain, column) for chain in group)
            yield Piece(index, f"{asked.chains[0].chain.where} by {label}", asked, weight, len(group))
            index += 1

    def _stored(self, group: range, column: int) -> bool:
        """Take the stored cells of an estimator on a group; return whether all are there."""
        cells = {index: self._journal.cell(index, column) if self._journal else None for index in group}
        if not all(cells.values()):
            return False
        for index, cell in cells.items():
            if cell is not None:
                self._keep(index, column, cell, kept=True)
        return True

    def _take(self, outcome: Outcome, group: range) -> None:
        """Store what came back for a piece."""
        asked: Unpruned | CellsOf = outcome.piece.payload
        if isinstance(asked, Unpruned):
            self._take_unpruned([index for index in group if index not in self._unpruned], outcome)
            return
        results = [outcome.failure] * len(group) if outcome.failure is not None else outcome.result
        failures = []
        for index, result in zip(group, results, strict=True):
            if isinstance(result, Failure):
                failures.append(result)
                if self._keep_going:
                    self._leave_out(index, asked.estimator, result)
                continue
            if self._journal:
                self._journal.store_cell(index, asked.estimator, result, outcome.threads)
                forget_failure(self._journal, cell=(self._chains[index].id, self._labels[asked.estimator]))
            self._keep(index, asked.estimator, result, kept=False)
        if failures and not self._keep_going:
            raise as_raised_here(failures[0])

    def _take_unpruned(self, missing: Sequence[int], outcome: Outcome) -> None:
        results = [outcome.failure] * len(missing) if outcome.failure is not None else outcome.result
        failures = []
        for index, result in zip(missing, results, strict=True):
            if isinstance(result, Failure):
                failures.append(result)
                self.left_out[index] = result
                if self._journal and self._keep_going:
                    record_traceback(self._journal, result, cell=(self._chains[index].id, UNPRUNED))
                continue
            if self._journal:
                self._journal.store_unpruned(index, result, outcome.threads)
                forget_failure(self._journal, cell=(self._chains[index].id, UNPRUNED))
            self._unpruned[index] = result
        if failures and not self._keep_going:
            raise as_raised_here(failures[0])

    def _keep(self, index: int, column: int, cell: Cell, *, kept: bool) -> None:
        self._cells[index, column] = cell
        self._pace.add(index, column, cell, kept=kept)

    def _leave_out(self, index: int, column: int, failure: Failure) -> None:
        if self._journal:
            cell = (self._chains[index].id, self._labels[column])
            record_failure(self._journal, index, column, failure, cell=cell)
        self._cells[index, column] = failed_cell(self._chains[index], failure)
        self._pace.leave_out(index, column)
