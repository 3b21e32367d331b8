"""How long the rest of a run will take."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from tokimp.chains.chain import TokenizedChain
from tokimp.compare.assembly import Cell
from tokimp.contracts.estimator import ImportanceEstimator
from tokimp.contracts.scorer import Capability

_ONE_PASS_A_UNIT = {Capability.DELETIONS, Capability.KNOCKOUT}


class RemainingTime:
    """Estimates the time left from what each estimator's finished chains took.

    Chains differ in length and methods in how they grow with it, so that a mean time a cell would be far off. Each
    estimator is taken to need time in proportion to the chain's length L (one pass), to n L for n units where it
    scores deletions or knockouts, and to n^2 L where its results show that it deletes one unit after the other.
    """

    def __init__(self, chains: Sequence[TokenizedChain], estimators: Sequence[ImportanceEstimator]) -> None:
        self._chains = chains
        self._exponent = [1 if estimator.requires & _ONE_PASS_A_UNIT else 0 for estimator in estimators]
        self._done: dict[int, dict[int, float]] = defaultdict(dict)

    def add(self, chain: int, estimator: int, cell: Cell) -> None:
        """Take note of a finished cell."""
        self._done[estimator][chain] = cell.seconds
        if cell.importance.order is not None:
            self._exponent[estimator] = 2

    def _weight(self, chain: int, estimator: int) -> float:
        tokens = self._chains[chain]
        return float(len(tokens.units) ** self._exponent[estimator] * len(tokens))

    def seconds_left(self) -> float | None:
        """Return the seconds still to go, or ``None`` while some estimator has not finished a chain."""
        total = 0.0
        for estimator in range(len(self._exponent)):
            done = self._done[estimator]
            if not done:
                return None
            finished = sum(self._weight(chain, estimator) for chain in done)
            left = sum(self._weight(chain, estimator) for chain in range(len(self._chains)) if chain not in done)
            total += left * sum(done.values()) / finished
        return total
