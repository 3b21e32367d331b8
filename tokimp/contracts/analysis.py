"""The analysis: finds something out from a result, if need be by asking the model again."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy.typing as npt
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
    """Everything that an analysis needs to ask the model again.

    Attributes
    ----------
    scorer
        The model, with every capability that the analysis requires.
    chains
        The chains as ids, [chain], in the result's order; each has the very tokens and units of the result.
    objective
        The number that the run's deletions were to preserve.
    """

    scorer: Scorer
    chains: tuple[TokenizedChain, ...]
    objective: Objective


@dataclass(frozen=True, slots=True)
class Found:
    """What an analysis found out of a chain by asking the model, and what that cost.

    Attributes
    ----------
    arrays
        Numbers and texts, under names.
    seconds
        Wall time.
    tokens_forwarded
        Token positions passed through the model.
    """

    arrays: Mapping[str, npt.NDArray[Any]]
    seconds: float
    tokens_forwarded: int


class FoundStore(Protocol):
    """Keeps what is found out of chains, so that an analysis that was killed goes on where it was."""

    def get(self, chain: int, what: str) -> Found | None:
        """Return what was stored of a chain, by its index; ``None`` if nothing was."""

    def store(self, chain: int, what: str, found: Found) -> None:
        """Store what was found out of a chain; once this returns, it survives a kill."""


class AnalysisInput:
    """The result that an analysis works on, and the model if it asks one.

    Parameters
    ----------
    result
        A valid result.
    scoring
        Model and chains; ``None`` for an analysis that requires neither.
    progress
        Called by `report`.
    store
        Keeps what `keep` is given; ``None`` keeps nothing.

    Attributes
    ----------
    result
        The result.
    kept_seconds, kept_tokens_forwarded
        What it cost, in earlier calls or by workers, to find out what was kept and is not computed again.
    started
        When the analysis was begun, as `time.perf_counter` tells it.
    forwarded_at_start
        Token positions that the scorer had passed through its model then.
    """

    def __init__(
        self,
        result: xr.DataTree,
        scoring: Scoring | None = None,
        progress: Callable[[Progress], None] | None = None,
        store: FoundStore | None = None,
    ) -> None:
        self.result = result
        self._store = store
        self._kept_chains: set[int] = set()
        self._last_was_kept = False
        self.kept_seconds, self.kept_tokens_forwarded = 0.0, 0
        self._scoring = scoring
        self._progress = progress
        self.started, self.forwarded_at_start = time.perf_counter(), self._tokens_forwarded()

    @property
    def scoring(self) -> Scoring:
        """Model, chains and objective.

        Raises
        ------
        AnalysisError
            If the analysis requires nothing of a scorer, and therefore gets none.
        """
        if self._scoring is None:
            raise AnalysisError("an analysis is given a scorer only if its class says what it requires of one")
        return self._scoring

    def keep(
        self, chain: int, compute: Callable[[], Mapping[str, npt.NDArray[Any]]], what: str = ""
    ) -> Mapping[str, npt.NDArray[Any]]:
        """Return what `compute` finds out of a chain, computed once even if the analysis is killed and called again.

        With an executor that has workers, they compute it: an analysis that gives all that takes long to `keep`, in a
        loop over chains, uses them without further ado. A worker runs the analysis on the result of the chain alone,
        without other analyses, up to this very question. So what is found out may depend on this chain, what the result
        says of it, the model and the analysis's parameters. What else it depends on is to be said in `what`.

        Parameters
        ----------
        chain
            The index of the chain.
        compute
            Asks the model about this chain, and returns numbers or texts, as arrays under names.
        what
            What is found out, where an analysis finds out several things of one chain.
        """
        if self._store is None:
            return compute()
        found = self._store.get(chain, what)
        self._last_was_kept = found is not None
        if found is None:
            began, forwarded_at_start = time.perf_counter(), self._tokens_forwarded()
            arrays = compute()
            found = Found(arrays, time.perf_counter() - began, self._tokens_forwarded() - forwarded_at_start)
            self._store.store(chain, what, found)
        else:
            self._kept_chains.add(chain)
            self.kept_seconds += found.seconds
            self.kept_tokens_forwarded += found.tokens_forwarded
        return found.arrays

    def _tokens_forwarded(self) -> int:
        return 0 if self._scoring is None else self._scoring.scorer.tokens_forwarded

    def report(self, done: int, total: int, chain_id: str, what: str) -> None:
        """Tell the caller how far the analysis has come.

        Parameters
        ----------
        done, total
            The number of chains done, and of all chains.
        chain_id
            The chain just done.
        what
            What was done to it, in a few words.
        """
        if self._progress is None:
            return
        seconds = time.perf_counter() - self.started
        computed = done - len(self._kept_chains)
        self._progress(
            Progress(
                done=done,
                total=total,
                chain_id=chain_id,
                estimator=what,
                kept=self._last_was_kept,
                tokens_forwarded=self._tokens_forwarded(),
                seconds_left=seconds / computed * (total - done) if computed > 0 else None,
            )
        )


class Analysis(Parameterized, ABC):
    """Finds something out from a result; the one class a new analysis subclasses.

    ``__init__`` only stores its parameters, each under its own name; `constraints` says which values they may have.
    `compute` reads the result (``docs/schema.md``) and never an estimator, so it works on anybody's estimators.

    An analysis that has to ask the model says in `requires` for what. `AnalysisInput.scoring` then holds the model and
    the chains as ids. `tokimp.analyze` makes both again from what the run recorded, and refuses if they have changed.

    Attributes
    ----------
    requires
        The capabilities that it asks of a scorer; none if the result is enough.

    Examples
    --------
    Count how many of a chain's units each estimator tells apart:

    >>> from tokimp.results.by_chain import iterate
    >>> class Levels(Analysis):
    ...     name = "levels"
    ...
    ...     def compute(self, inputs):
    ...         chains = [chain for _, chain in iterate(inputs.result)]
    ...         counts = [[len(set(row)) for row in chain["importance"].values.tolist()] for chain in chains]
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
    def compute(self, inputs: AnalysisInput) -> xr.Dataset:
        """Return the dataset that is stored under ``/analysis/<name>``.

        Its dimensions ``chain``, ``token`` and ``estimator`` are those of the result; it may have others of its own.
        The result stays as it is. An estimator that says nothing about a chain has NaN there.
        """

    @property
    def takes_long(self) -> bool:
        """Whether `compute` gives to `AnalysisInput.keep` what takes long; by default if it requires a scorer."""
        return bool(self.requires)

    def writes(self) -> Sequence[Path]:
        """Return the files that `compute` writes besides; none by default. A command refuses those that it reads."""
        return ()

    def tables(self, result: xr.DataTree) -> list[Table]:
        """Return the tables to print for a result that this analysis has been run on; none by default."""
        return []

    def figure(self, result: xr.DataTree) -> Figure | None:
        """Return the figure to draw for a result that this analysis has been run on; none by default."""
        return None
