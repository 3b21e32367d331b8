"""What an audit still has to do, known before it starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import xarray as xr

from tokimp.audit.conditions import Condition
from tokimp.audit.runs import AuditRuns
from tokimp.audit.settings import AuditSettings
from tokimp.chains.chain import Chain, TokenizedChain
from tokimp.compare.pending import PendingCells
from tokimp.contracts.estimator import ImportanceEstimator
from tokimp.contracts.executor import Executor
from tokimp.contracts.scorer import Scorer

AS_THEY_ARE = "as-they-are"
"""The name of the run in which nothing is changed."""


@dataclass(frozen=True, slots=True)
class PendingAudit:
    """What an audit has to do.

    Attributes
    ----------
    settings
        The audit's settings.
    chains, tokenized
        All chains, as texts and as ids.
    estimators
        All estimators, the controls among them.
    conditions
        What is changed one after the other.
    scorer
        The model as it is.
    load_changed
        Loads the model with options of `tokimp.load_scorer` that differ.
    runs
        Knows which runs are finished.
    executor
        Where cells are computed and analyses ask the model, entered.
    costs_known
        The labels of the estimators whose cost on a chain of median length is measured already.
    """

    settings: AuditSettings
    chains: Sequence[Chain]
    tokenized: Sequence[TokenizedChain]
    estimators: Sequence[ImportanceEstimator]
    conditions: Sequence[Condition]
    scorer: Scorer
    load_changed: Callable[[Mapping[str, Any]], Scorer]
    runs: AuditRuns
    executor: Executor
    costs_known: Set[str]

    def as_they_are(self) -> PendingCells | None:
        """Return the cells of the run in which nothing is changed; ``None`` if it is finished."""
        return self.runs.pending(AS_THEY_ARE, self.chains, self.estimators)

    def changed(self, condition: Condition, scorer: Scorer | None = None) -> PendingCells | None:
        """Return the cells of a run under a changed condition; ``None`` if it is finished.

        Parameters
        ----------
        condition
            What is changed.
        scorer
            The changed model, if it is at hand. Without it, what a run computed that was then interrupted is counted
            again.
        """
        return self.runs.pending(
            condition.folder,
            condition.chains,
            condition.estimators,
            changed=condition.scorer,
            seed=condition.seed,
            scorer=scorer,
        )

    def result(self) -> xr.DataTree | None:
        """Return the result of the run in which nothing is changed, if it is finished."""
        return self.runs.finished(AS_THEY_ARE, self.chains, self.estimators)

    @property
    def analyses(self) -> Sequence[str]:
        """The analyses that ask the model, by name and parameters."""
        return self.settings.metrics_for(max(len(chain.units) for chain in self.tokenized))
