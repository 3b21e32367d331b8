"""How a run gets on: which cells are done, how fast they go, and who is told of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from tokimp.chains.chain import TokenizedChain
from tokimp.compare.cell import Cell
from tokimp.compare.remaining_time import RemainingTime
from tokimp.contracts.estimator import ImportanceEstimator
from tokimp.contracts.executor import Workers
from tokimp.contracts.progress import Progress


class Pace:
    """Counts the cells of a run as they come in, and tells whoever wants to know.

    Parameters
    ----------
    chains, estimators
        Of the run.
    labels
        The labels of the estimators.
    progress
        Called after each cell.
    """

    def __init__(
        self,
        chains: Sequence[TokenizedChain],
        estimators: Sequence[ImportanceEstimator],
        labels: Sequence[str],
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self._chains, self._labels, self._progress = chains, labels, progress
        self._remaining = RemainingTime(chains, estimators)
        self._workers = Workers(alive=0)
        # Running sums: to add up all cells again after each one would take quadratic time.
        self._done = self._failed = self._tokens_forwarded = self._passed_now = 0
        self._began = time.perf_counter()

    def watch(self, workers: Workers) -> None:
        """Take note of how many workers there are."""
        self._workers = workers

    def weight(self, chain: int, estimator: int) -> float:
        """Return how long a cell takes in proportion to others."""
        return self._remaining.weight(chain, estimator)

    def add(self, chain: int, estimator: int, cell: Cell, *, kept: bool) -> None:
        """Count a cell, by the indices of its chain and estimator; `kept` says that it was stored before."""
        self._done += 1
        self._tokens_forwarded += cell.tokens_forwarded
        self._passed_now += 0 if kept else cell.tokens_forwarded
        self._remaining.add(chain, estimator, cell)
        self._tell(chain, estimator, kept=kept)

    def leave_out(self, chain: int, estimator: int) -> None:
        """Count a cell that failed."""
        self._done += 1
        self._failed += 1
        self._remaining.leave_out(chain, estimator)
        self._tell(chain, estimator, kept=False)

    def _tell(self, chain: int, estimator: int, *, kept: bool) -> None:
        if self._progress is None:
            return
        left = self._remaining.seconds_left()
        self._progress(
            Progress(
                done=self._done,
                total=len(self._chains) * len(self._labels),
                chain_id=self._chains[chain].id,
                estimator=self._labels[estimator],
                kept=kept,
                tokens_forwarded=self._tokens_forwarded,
                seconds_left=None if left is None else left / max(1, self._workers.alive),
                failed=self._failed,
                workers=self._workers.alive,
                lost=self._workers.lost,
                positions_per_second=self._passed_now / max(1e-9, time.perf_counter() - self._began),
            )
        )
