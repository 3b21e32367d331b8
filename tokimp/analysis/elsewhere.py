"""Analyses whose questions to the model are answered elsewhere: one piece of work for each chain, then the analysis.

An analysis is a loop over chains, which gives what it asks the model to `AnalysisInput.keep`. It is run here on what is
kept already. At the first thing that is not, it is left; all chains are asked for that thing by workers, and it is run
again. A worker runs the same analysis on the result of one chain, up to that question, and sends the answer back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import xarray as xr

from tokimp.chains.chain import TokenizedChain
from tokimp.compare.scorer_work import ScorerWork, results_of
from tokimp.contracts.analysis import Analysis, AnalysisInput, Found, FoundStore, Scoring
from tokimp.contracts.checked_analysis import node_of
from tokimp.contracts.checked_scorer import CheckedScorer
from tokimp.contracts.executor import Executor, Piece, Workers
from tokimp.contracts.objective import Objective
from tokimp.contracts.progress import Progress
from tokimp.contracts.scorer import Scorer, SpanLogprobs
from tokimp.contracts.subset_scores import SubsetMemory
from tokimp.errors import AnalysisError
from tokimp.results.by_chain import chain_ids
from tokimp.results.selection import sel


@dataclass(frozen=True, slots=True)
class OneChain:
    """What a worker is sent to find out one thing of one chain.

    Attributes
    ----------
    result
        The result of this chain alone.
    chain
        The chain as ids; ``None`` for an analysis that asks no scorer.
    what
        What is to be found out.
    known
        What was found out of the chain before, by what it is.
    """

    result: xr.DataTree
    chain: TokenizedChain | None
    what: str
    known: Mapping[str, Found]


@dataclass(frozen=True, slots=True)
class AskAboutChain:
    """Runs an analysis on one chain up to a question, and returns the answer: what `ScorerWork` calls.

    Attributes
    ----------
    analysis, objective
        The analysis, and what deletions are to preserve.
    """

    analysis: Analysis
    objective: Objective | None

    def __call__(self, scorer: Scorer | None, asked: OneChain) -> Found | None:
        """Return what was found out; ``None`` if the analysis does not ask for it on this chain alone."""
        scoring = None
        if asked.chain is not None and scorer is not None and self.objective is not None:
            scoring = Scoring(CheckedScorer(scorer, SubsetMemory()), (asked.chain,), self.objective)
        store = _UpTo(asked.what, asked.known)
        try:
            node_of(self.analysis, AnalysisInput(asked.result, scoring, store=store))
        except _Answered:
            return store.found
        except Exception:
            # What it makes of one chain alone may make no sense, but a question that was begun and failed is an error.
            if store.reached:
                raise
        return None


class _Answered(BaseException):
    """Leaves an analysis once its question was answered; no error, so analyses do not catch it."""


class _UpTo:
    """Gives what is known of a chain, and leaves the analysis when what is asked for was found out."""

    def __init__(self, what: str, known: Mapping[str, Found]) -> None:
        self._what, self._known = what, known
        self.found: Found | None = None
        self.reached = False

    def get(self, chain: int, what: str) -> Found | None:
        """Return what is known; take note if the question is the one that is asked."""
        self.reached = self.reached or what == self._what
        return self._known.get(what)

    def store(self, chain: int, what: str, found: Found) -> None:
        """Leave the analysis with the answer."""
        if what == self._what:
            self.found = found
            raise _Answered


class _Missing(BaseException):
    """Leaves an analysis at a question whose answer is not kept; no error, so analyses do not catch it."""

    def __init__(self, chain: int, what: str) -> None:
        super().__init__(chain, what)
        self.chain, self.what = chain, what


class _OnlyKept:
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
        only_kept, told = _OnlyKept(self.store), self.progress
        while True:
            inputs = AnalysisInput(self.result, self.scoring, told, only_kept)
            try:
                return node_of(self.analysis, inputs), inputs
            except _Missing as missing:
                what, chain = missing.what, missing.chain
            if what in asked:
                raise AnalysisError(
                    f"the analysis {self.analysis.name!r} asks about chain {chain_ids(self.result)[chain]!r} only when "
                    "it sees other chains too, so workers cannot be asked chain by chain; use the executor local"
                )
            self._find_out(what, asked)
            asked.append(what)
            # What workers found out was told when it came.
            told = None

    def _find_out(self, what: str, known: Sequence[str]) -> None:
        """Let workers find out one thing of every chain of which it is not kept, and store it as it comes."""
        ids, scoring = chain_ids(self.result), self.scoring
        missing = [index for index in range(len(ids)) if self.store.get(index, what) is None]
        pieces = []
        for index in missing:
            chain = None if scoring is None else scoring.chains[index]
            before = {name: found for name in known if (found := self.store.get(index, name)) is not None}
            asked = OneChain(sel(self.result, chain=ids[index]), chain, what, before)
            weight = 1.0 if chain is None else float(len(chain))
            pieces.append(Piece(index, f"chain {ids[index]!r} for {self.analysis.label}", asked, weight))
        ask = AskAboutChain(self.analysis, None if scoring is None else scoring.objective)
        work = ScorerWork.for_executor(self.executor, self.scorer, ask, fingerprint=self.fingerprint)
        pace = _Pace(len(ids), len(missing), self.analysis.name, self.progress)
        for outcome in results_of(self.executor, work, pieces, pace.watch):
            index, found = outcome.piece.index, outcome.result
            if found is not None:
                self.store.store(index, what, found)
            pace.add(ids[index], found)


def ask_logprobs(scorer: Scorer, chain: TokenizedChain) -> SpanLogprobs:
    """Return the log-probabilities of a chain: what `ScorerWork` calls to see which model workers have."""
    (logprobs,) = CheckedScorer(scorer).logprobs([chain])
    return logprobs


def logprobs_of(executor: Executor, scorer: Scorer, chain: TokenizedChain) -> SpanLogprobs:
    """Return the log-probabilities of a chain by a worker's scorer."""
    work = ScorerWork.for_executor(executor, scorer, ask_logprobs)
    (outcome,) = results_of(executor, work, [Piece(0, chain.chain.where, chain)])
    return cast("SpanLogprobs", outcome.result)


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

    def add(self, chain_id: str, found: Found | None) -> None:
        """Count a chain."""
        self._done += 1
        self._positions += 0 if found is None else found.tokens_forwarded
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
