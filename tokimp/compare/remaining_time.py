"""How long the rest of a run will take."""

from __future__ import annotations

from collections.abc import Sequence

from tokimp.chains.chain import TokenizedChain
from tokimp.compare.cell import Cell
from tokimp.contracts.estimator import ImportanceEstimator
from tokimp.contracts.scorer import Capability

_ONE_PASS_PER_UNIT = {Capability.DELETIONS, Capability.KNOCKOUT}


class RemainingTime:
    """Estimates the time left from the time that each estimator took for the chains it has finished.

    Chains differ in length, and the time of different methods grows differently with it: a mean time per cell would
    be far off. An estimator is taken to need time in proportion to a chain's length L (one pass through the model), to
    n L for n units if it scores deletions or knockouts, and to n^2 L if its results show that it deletes one unit after
    the other.

    Parameters
    ----------
    chains
        All chains of the run.
    estimators
        All estimators of the run.
    """

    def __init__(self, chains: Sequence[TokenizedChain], estimators: Sequence[ImportanceEstimator]) -> None:
        self._columns = [
            _EstimatorTime(chains, exponent=1 if estimator.requires & _ONE_PASS_PER_UNIT else 0)
            for estimator in estimators
        ]

    def add(self, chain: int, estimator: int, cell: Cell) -> None:
        """Take note of a finished cell, by the indices of its chain and estimator; each cell is added once."""
        self._columns[estimator].add(chain, cell)

    def leave_out(self, chain: int, estimator: int) -> None:
        """Take note of a cell that failed, and takes no more time."""
        self._columns[estimator].leave_out(chain)

    def weight(self, chain: int, estimator: int) -> float:
        """Return how long a cell takes, in proportion to others, as far as is known."""
        return self._columns[estimator].weight(chain)

    def seconds_left(self) -> float | None:
        """Return the seconds still to go, or ``None`` while some estimator has not finished a chain."""
        total = 0.0
        for column in self._columns:
            seconds = column.seconds_left()
            if seconds is None:
                return None
            total += seconds
        return total


class _EstimatorTime:
    """The time that one estimator has taken and has still to take.

    Sums are kept as cells come in: walking over all chains after every cell would take quadratic time. Weights are
    whole numbers, so that what is left after the last cell is exactly 0.
    """

    def __init__(self, chains: Sequence[TokenizedChain], exponent: int) -> None:
        self._chains = chains
        self._finished: list[int] = []
        self._left_out: list[int] = []
        self._seconds = 0.0
        self._set_exponent(exponent)

    def add(self, chain: int, cell: Cell) -> None:
        self._finished.append(chain)
        self._finished_weight += self.weight(chain)
        self._seconds += cell.seconds
        # A deletion order shows that the estimator deletes in sequence. This happens at most once per estimator.
        if cell.importance.order is not None and self._exponent != 2:
            self._set_exponent(2)

    def leave_out(self, chain: int) -> None:
        self._left_out.append(chain)
        self._total_weight -= self.weight(chain)

    def seconds_left(self) -> float | None:
        if not self._finished:
            return None if self._total_weight else 0.0
        return (self._total_weight - self._finished_weight) * self._seconds / self._finished_weight

    def _set_exponent(self, exponent: int) -> None:
        self._exponent = exponent
        self._total_weight = sum(self.weight(chain) for chain in range(len(self._chains)))
        self._total_weight -= sum(self.weight(chain) for chain in self._left_out)
        self._finished_weight = sum(self.weight(chain) for chain in self._finished)

    def weight(self, chain: int) -> int:
        tokens = self._chains[chain]
        return int(len(tokens.units) ** self._exponent * len(tokens))
