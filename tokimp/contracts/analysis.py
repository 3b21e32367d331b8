"""The analysis: finds something out from a result, if need be by asking the model again."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import xarray as xr

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import Objective
from tokimp.contracts.parameters import Parameterized
from tokimp.contracts.progress import Progress
from tokimp.contracts.scorer import Capability, Scorer
from tokimp.errors import AnalysisError

if TYPE_CHECKING:  # slow to import, and needed only once there is something to print or draw
    from matplotlib.figure import Figure
    from rich.table import Table


@dataclass(frozen=True, slots=True)
class Scoring:
    """What it takes to ask the model again.

    Attributes
    ----------
    scorer
        The model, with every capability that the analysis requires.
    chains
        The chains as ids, [chain], in the result's order; each has the very tokens and units of the result.
    objective
        What the run's deletions were to preserve.
    """

    scorer: Scorer
    chains: tuple[TokenizedChain, ...]
    objective: Objective


class AnalysisInput:
    """What an analysis is given.

    Parameters
    ----------
    result
        A valid result.
    scoring
        Model and chains; ``None`` for an analysis that requires neither.
    progress
        Called by `report`.

    Attributes
    ----------
    result
        The result.
    """

    def __init__(
        self,
        result: xr.DataTree,
        scoring: Scoring | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> None:
        self.result = result
        self._scoring = scoring
        self._progress = progress
        self._started = time.perf_counter()

    @property
    def scoring(self) -> Scoring:
        """Model, chains and objective.

        Raises
        ------
        AnalysisError
            If the analysis requires nothing of a scorer, and so was given none.
        """
        if self._scoring is None:
            raise AnalysisError("an analysis is given a scorer only where its class says what it requires of one")
        return self._scoring

    def report(self, done: int, total: int, chain_id: str, what: str) -> None:
        """Say how far the analysis has come: chains done, chains in all, the last one's id, what was done to it."""
        if self._progress is None:
            return
        seconds = time.perf_counter() - self._started
        self._progress(
            Progress(
                done=done,
                total=total,
                chain_id=chain_id,
                estimator=what,
                kept=False,
                tokens_forwarded=self._scoring.scorer.tokens_forwarded if self._scoring else 0,
                seconds_left=seconds / done * (total - done),
            )
        )


class Analysis(Parameterized, ABC):
    """Finds something out from a result; the one class a new analysis subclasses.

    ``__init__`` only stores its parameters, each under its own name. `compute` reads the result (``docs/schema.md``),
    never the estimators, so that it works on anybody's. Where it has to ask the model, `requires` says for what, and
    `AnalysisInput.scoring` holds the model and the chains as ids; `tokimp.analyze` makes them again from what the
    run recorded, and refuses to where they are no longer the same.

    Attributes
    ----------
    requires
        What it asks of a scorer; with nothing, the result is enough.

    Examples
    --------
    How many of a chain's units each estimator tells apart:

    >>> from tokimp.results.by_chain import iterate
    >>> class Levels(Analysis):
    ...     name = "levels"
    ...
    ...     def compute(self, given):
    ...         counts = [
    ...             [len(set(row)) for row in chain["importance"].values.tolist()] for _, chain in iterate(given.result)
    ...         ]
    ...         return xr.Dataset({"count": (("chain", "estimator"), counts)})
    >>> import tokimp
    >>> from tokimp.testing.toy_result import toy_result
    >>> analyzed = tokimp.analyze(toy_result({"mine": [[0.5, 2.0, 0.5]]}), Levels())
    >>> analyzed["analysis/levels/count"].values.tolist()
    [[2]]
    """

    _error = AnalysisError
    requires: ClassVar[frozenset[Capability]] = frozenset()

    @abstractmethod
    def compute(self, given: AnalysisInput) -> xr.Dataset:
        """Return what is to stand under ``/analysis/<name>``.

        Its dimensions ``chain``, ``token`` and ``estimator`` are the result's; it may have others of its own.
        """

    def tables(self, result: xr.DataTree) -> list[Table]:
        """Return what is printed of a result that this analysis has been run on; nothing by default."""
        return []

    def figure(self, result: xr.DataTree) -> Figure | None:
        """Return what is drawn of a result that this analysis has been run on; nothing by default."""
        return None
