"""What a worker is asked about one chain: an analysis is run up to a question, and the answer goes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import cast

import xarray as xr

from tokimp.chains.chain import TokenizedChain
from tokimp.compare.scorer_work import ScorerWork, results_of
from tokimp.contracts.analysis import Analysis, AnalysisInput, Found, Scoring
from tokimp.contracts.checked_analysis import node_of
from tokimp.contracts.checked_scorer import CheckedScorer
from tokimp.contracts.executor import Executor, Piece
from tokimp.contracts.objective import Objective
from tokimp.contracts.scorer import Scorer, SpanLogprobs
from tokimp.contracts.subset_scores import SubsetMemory
from tokimp.errors import TokimpError
from tokimp.models.memory import with_peak_memory


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
class NotAsked:
    """Says that an analysis does not ask what is to be found out when it sees one chain alone.

    Attributes
    ----------
    error
        How it failed before it came to the question; empty if it came to its end.
    """

    error: str = ""


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

    def __call__(self, scorer: Scorer | None, asked: OneChain) -> Found | NotAsked:
        """Return what was found out, or why it was not.

        Raises
        ------
        AnalysisError
            If the analysis fails once it has come to the question. Before, it may fail because it sees one chain alone;
            whether that matters is known where all chains are seen.
        """
        scoring = None
        if asked.chain is not None and scorer is not None and self.objective is not None:
            scoring = Scoring(CheckedScorer(scorer, SubsetMemory()), (asked.chain,), self.objective)
        store = _UpTo(asked.what, asked.known)
        try:
            node_of(self.analysis, AnalysisInput(asked.result, scoring, store=store))
        except _Answered as answered:
            return answered.found
        except TokimpError as error:
            if store.reached:
                raise
            return NotAsked(str(error))
        return NotAsked()


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of asking about a chain in order to see what that costs.

    Attributes
    ----------
    found
        What was found out.
    memory
        The most bytes in use meanwhile, weights included; ``None`` if that is not known.
    """

    found: Found
    memory: int | None


@dataclass(frozen=True, slots=True)
class TryChain:
    """Asks about a chain as `AskAboutChain` does, and measures the memory that this takes."""

    ask: AskAboutChain

    def __call__(self, scorer: Scorer | None, asked: OneChain) -> Tried | NotAsked:
        """Return what was found out and what it took, or why it was not asked."""
        if scorer is None:
            # The analysis loads a model of its own, and nobody knows where.
            answer, memory = self.ask(scorer, asked), None
        else:
            answer, memory = with_peak_memory(scorer.device, partial(self.ask, scorer, asked))
        return answer if isinstance(answer, NotAsked) else Tried(answer, memory)


class _Answered(BaseException):
    """Leaves an analysis once its question was answered; no error, so analyses do not catch it."""

    def __init__(self, found: Found) -> None:
        super().__init__()
        self.found = found


class _UpTo:
    """Gives what is known of a chain, and leaves the analysis when what is asked for was found out."""

    def __init__(self, what: str, known: Mapping[str, Found]) -> None:
        self._what, self._known = what, known
        self.reached = False

    def get(self, chain: int, what: str) -> Found | None:
        """Return what is known; take note if the question is the one that is asked."""
        self.reached = self.reached or what == self._what
        return self._known.get(what)

    def store(self, chain: int, what: str, found: Found) -> None:
        """Leave the analysis with the answer."""
        if what == self._what:
            raise _Answered(found)


def ask_logprobs(scorer: Scorer, chain: TokenizedChain) -> SpanLogprobs:
    """Return the log-probabilities of a chain: what `ScorerWork` calls to see which model workers have."""
    (logprobs,) = CheckedScorer(scorer).logprobs([chain])
    return cast("SpanLogprobs", logprobs)


def logprobs_of(executor: Executor, scorer: Scorer, chain: TokenizedChain) -> SpanLogprobs:
    """Return the log-probabilities of a chain by a worker's scorer."""
    work = ScorerWork.for_executor(executor, scorer, ask_logprobs)
    (outcome,) = results_of(executor, work, [Piece(0, chain.chain.where, chain)])
    return cast("SpanLogprobs", outcome.result)
