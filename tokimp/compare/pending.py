"""The cells that a run still has to compute, known before it starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tokimp.chains.chain import TokenizedChain
from tokimp.compare.cell_keys import CellKeys
from tokimp.compare.journal import CELLS
from tokimp.contracts.estimator import ImportanceEstimator
from tokimp.contracts.objective import Objective
from tokimp.contracts.scorer import Scorer
from tokimp.storage.record_log import RecordLog


@dataclass(frozen=True, slots=True)
class PendingCells:
    """What a run has to compute.

    Attributes
    ----------
    scorer, objective, seed
        As of the run.
    chains
        All chains of the run.
    estimators
        All estimators of the run.
    of_estimator
        The chains whose cell is not in the folder of the run yet, [estimator][chain].
    unpruned
        The chains whose own log-probabilities are not there yet.
    """

    scorer: Scorer
    objective: Objective
    seed: int
    chains: Sequence[TokenizedChain]
    estimators: Sequence[ImportanceEstimator]
    of_estimator: Sequence[Sequence[TokenizedChain]]
    unpruned: Sequence[TokenizedChain]

    @classmethod
    def of_run(
        cls,
        identity: Mapping[str, Any],
        folder: Path | None,
        *,
        scorer: Scorer,
        objective: Objective,
        seed: int,
        chains: Sequence[TokenizedChain],
        estimators: Sequence[ImportanceEstimator],
    ) -> Self:
        """Return what a run has to compute; its folder, if it has one, is only read."""
        keys = CellKeys(identity)
        stored = set[str]() if folder is None else set(RecordLog(folder / CELLS, writes=False))
        return cls(
            scorer=scorer,
            objective=objective,
            seed=seed,
            chains=chains,
            estimators=estimators,
            of_estimator=[
                [chain for place, chain in enumerate(chains) if keys.cell(place, column) not in stored]
                for column in range(len(estimators))
            ],
            unpruned=[chain for place, chain in enumerate(chains) if keys.unpruned(place) not in stored],
        )
