"""Analyses whose questions to the model are answered elsewhere: one piece of work for each chain, then the analysis.

An analysis is a loop over chains, which gives what it asks the model to `AnalysisInput.keep`. It is run here on what is
kept already. At the first thing that is not, it is left; all chains are asked for that thing by workers, and it is run
again. A worker runs the same analysis on the result of one chain, up to that question, and sends the answer back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import xarray as xr

from tokimp.analysis.asked_chain import AskAboutChain, NotAsked, OneChain, Tried, TryChain
from tokimp.compare.scorer_work import ScorerWork, results_of
from tokimp.compare.worker_scorer import WorkerScorer, facts_of
from tokimp.contracts.analysis import Analysis, AnalysisInput, Found, FoundStore, Scoring
from tokimp.contracts.checked_analysis import node_of
from tokimp.contracts.executor import Executor, Piece, Workers
from tokimp.contracts.progress import Progress
from tokimp.contracts.scorer import Scorer
from tokimp.errors import AnalysisError, UnsupportedError
from tokimp.results.by_chain import chain_ids
from tokimp.results.selection import sel


class _Missing(BaseException):
    """Leaves an analysis at a question whose answer is not kept; no error, so analyses do not catch it."""

    def __init__(self, chain: int, what: str) -> None:
        super().__init__(chain, what)
        self.chain, self.what = chain, what


class OnlyKept:
    """Gives what is kept, and leaves the analysis at what is not."""

    def __init__(self, store: FoundStore) -> None:
        self._store = store

    def get(self, chain: int, what: str) -> Found:
        """Return what is kept."""
        found = self._store.get(chain, what)
        if found is None:
            raise _Missing(chain, what)
        return found

    def store(self, chain: int, what: str, found: Found) -> None:
        """Never called: nothing is found out here."""
        raise AssertionError(f"{what!r} of chain {chain} was found out twice")


class InMemory:
    """Keeps what was found out of chains for as long as the analysis runs."""

    def __init__(self) -> None:
        self._found: dict[tuple[int, str], Found] = {}

    def get(self, chain: int, what: str) -> Found | None:
        """Return what was stored of a chain, or None."""
        return self._found.get((chain, what))

    def store(self, chain: int, what: str, found: Found) -> None:
        """Store what was found out of a chain."""
        self._found[chain, what] = found


@dataclass(frozen=True, slots=True)
class Question:
    """What is not kept.

    Attributes
    ----------
    what
        What is to be found out.
    missing
        The indices of the chains of which it is not known.
    """

    what: str
    missing: Sequence[int]


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """An analysis whose chains are asked about by workers.

    Attributes
    ----------
    analysis, result, scoring, progress
        As of `tokimp.contracts.analysis.AnalysisInput`, and the analysis itself.
    executor
        Where chains are asked about.
    scorer
        The scorer, or what stands for that of the workers; ``None`` for an analysis that asks none.
    fingerprint
        The fingerprint that a worker's scorer has to have; empty if it has none.
    store
        Keeps what is found out.
    """

    analysis: Analysis
    result: xr.DataTree
    scoring: Scoring | None
    progress: Callable[[Progress], None] | None
    executor: Executor
    scorer: Scorer | None
    fingerprint: str
    store: FoundStore

    def compute(self) -> tuple[xr.Dataset, AnalysisInput]:
        """Return the analysis's node, and the input that it was computed from, which knows what workers spent.

        Raises
        ------
        AnalysisError
            If the analysis fails, or asks about a chain only when it sees others too.
        ExecutorError
            If no worker can be started, or a chain was lost with each worker that was asked about it.
        """
        asked: list[str] = []
        not_asked: dict[int, NotAsked] = {}
        only_kept, told = OnlyKept(self.store), self.progress
        while True:
            inputs = AnalysisInput(self.result, self.scoring, told, only_kept)
            try:
                return node_of(self.analysis, inputs), inputs
            except _Missing as missing:
                what, chain = missing.what, missing.chain
            if what in asked:
                raise self._cannot_be_divided(chain, not_asked[chain])
            not_asked = self._find_out(what, asked)
            asked.append(what)
            # What workers found out was told when it came.
            told = None

    def first_question(self) -> Question | None:
        """Return the first thing that is not kept of some chains; ``None`` if there is none, or it is not asked for."""
        scoring = self.scoring
        if scoring is not None:
            # An analysis that asks outside of `keep` is not to do all its work now.
            silent = WorkerScorer(scoring.scorer.recipe, facts_of(scoring.scorer))
            scoring = replace(scoring, scorer=silent)
        try:
            node_of(self.analysis, AnalysisInput(self.result, scoring, store=OnlyKept(self.store)))
        except _Missing as missing:
            return Question(missing.what, self._missing(missing.what))
        except UnsupportedError:
            return None
        return None

    def try_chain(self, index: int, what: str) -> Tried | None:
        """Ask about one chain, and keep nothing of the answer; ``None`` if this is not asked of the chain alone."""
        ask = TryChain(self._ask())
        work = ScorerWork.for_executor(self.executor, self.scorer, ask, fingerprint=self.fingerprint)
        (outcome,) = results_of(self.executor, work, [self._piece(index, what, ())])
        answer = cast("Tried | NotAsked", outcome.result)
        return None if isinstance(answer, NotAsked) else answer

    def length_of(self, index: int) -> int:
        """Return the number of tokens of a chain: all of them where a scorer is asked, else those of its reasoning."""
        if self.scoring is None:
            return int(self.result["reasoning_length"].to_numpy()[index])
        return len(self.scoring.chains[index])

    @property
    def keeps_on_disk(self) -> bool:
        """Whether what is found out of each chain is kept in the folder of a run."""
        return not isinstance(self.store, InMemory)

    @property
    def workers(self) -> int:
        """How many chains are asked about at once."""
        return max(1, self.executor.size(self._work()))

    def _missing(self, what: str) -> list[int]:
        return [index for index in range(self.result.sizes["chain"]) if self.store.get(index, what) is None]

    def _find_out(self, what: str, known: Sequence[str]) -> dict[int, NotAsked]:
        """Let workers find out one thing of every chain of which it is not kept, and store it as it comes.

        Return the chains of which it was not asked.
        """
        not_asked: dict[int, NotAsked] = {}
        ids, missing = chain_ids(self.result), self._missing(what)
        pieces = [self._piece(index, what, known) for index in missing]
        pace = _Pace(len(ids), len(missing), self.analysis.name, self.progress)
        for outcome in results_of(self.executor, self._work(), pieces, pace.watch):
            index, answer = outcome.piece.index, cast("Found | NotAsked", outcome.result)
            if isinstance(answer, NotAsked):
                not_asked[index] = answer
                pace.add(ids[index], 0)
            else:
                self.store.store(index, what, answer)
                pace.add(ids[index], answer.tokens_forwarded)
        return not_asked

    def _work(self) -> ScorerWork:
        return ScorerWork.for_executor(self.executor, self.scorer, self._ask(), fingerprint=self.fingerprint)

    def _ask(self) -> AskAboutChain:
        return AskAboutChain(self.analysis, None if self.scoring is None else self.scoring.objective)

    def _piece(self, index: int, what: str, known: Sequence[str]) -> Piece:
        chain_id = chain_ids(self.result)[index]
        chain = None if self.scoring is None else self.scoring.chains[index]
        before = {name: found for name in known if (found := self.store.get(index, name)) is not None}
        asked = OneChain(sel(self.result, chain=chain_id), chain, what, before)
        return Piece(index, f"chain {chain_id!r} for {self.analysis.label}", asked, float(self.length_of(index)))

    def _cannot_be_divided(self, index: int, not_asked: NotAsked) -> AnalysisError:
        alone = f" (of that chain alone: {not_asked.error})" if not_asked.error else ""
        return AnalysisError(
            f"the analysis {self.analysis.name!r} asks about chain {chain_ids(self.result)[index]!r} only when it sees "
            f"other chains too, so workers cannot be asked chain by chain; use the executor local{alone}"
        )


class _Pace:
    """Tells how many chains were asked about, and how long the rest will take."""

    def __init__(self, total: int, missing: int, what: str, progress: Callable[[Progress], None] | None) -> None:
        self._total, self._missing, self._what, self._progress = total, missing, what, progress
        self._workers = Workers(alive=0)
        self._done = self._positions = 0
        self._began = time.perf_counter()

    def watch(self, workers: Workers) -> None:
        """Take note of how many workers there are."""
        self._workers = workers

    def add(self, chain_id: str, tokens_forwarded: int) -> None:
        """Count a chain, and the token positions that were passed through the model for it."""
        self._done += 1
        self._positions += tokens_forwarded
        if self._progress is None:
            return
        seconds = time.perf_counter() - self._began
        self._progress(
            Progress(
                done=self._total - self._missing + self._done,
                total=self._total,
                chain_id=chain_id,
                estimator=self._what,
                kept=False,
                tokens_forwarded=self._positions,
                seconds_left=seconds / self._done * (self._missing - self._done),
                workers=self._workers.alive,
                lost=self._workers.lost,
                positions_per_second=self._positions / max(1e-9, seconds),
            )
        )
