"""Work that asks a model: each worker loads the scorer once, and calls one function with it and every payload.

This is all that comparisons, analyses, samplings and evaluations share: a recipe of the scorer, a function that is
found by its import path (or a small object of such a class), payloads that go out, and results that come back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import Any, Self

from tokimp.compare.executors.worker_side import worker_fault
from tokimp.contracts.executor import Do, Executor, Failure, Outcome, Piece, Work, Workers
from tokimp.contracts.scorer import Scorer
from tokimp.contracts.scorer_recipe import ScorerRecipe
from tokimp.models.kept_scorer import kept_scorer, recipe_for_workers

Ask = Callable[[Any, Any], Any]
"""Asks a scorer (the first argument) for what a payload says, and returns what comes back."""


class ScorerWork(Work):
    """Calls a function with a scorer and the payload of each piece.

    Parameters
    ----------
    scorer
        The scorer, or what a worker loads it from; ``None`` if the function needs none.
    ask
        The function; it can be pickled unless the work is done here.
    fingerprint
        The fingerprint that a worker's scorer has to have; empty if it has none.
    """

    def __init__(self, scorer: Scorer | ScorerRecipe | None, ask: Ask, *, fingerprint: str = "") -> None:
        self._scorer, self._ask, self._fingerprint = scorer, ask, fingerprint
        # A function that needs no scorer may load a model of its own.
        self.device = "auto" if scorer is None else scorer.device

    @classmethod
    def for_executor(cls, executor: Executor, scorer: Scorer | None, ask: Ask, *, fingerprint: str = "") -> Self:
        """Return work that an executor can do: with the scorer itself here, with what it was loaded from elsewhere.

        Raises
        ------
        UnsupportedError
            If the work is done elsewhere, and the scorer was made of objects in memory.
        """
        sent = scorer if scorer is None or executor.here else recipe_for_workers(scorer)
        return cls(sent, ask, fingerprint=fingerprint)

    def prepare(self) -> Do:
        """Load the scorer, unless it is here already."""
        scorer = self._scorer
        if isinstance(scorer, ScorerRecipe):
            scorer = kept_scorer(scorer, self._fingerprint)
        return partial(self._ask, scorer)

    def fault(self, result: Any) -> str:
        """Return why a part of the result failed, if memory ran out or a GPU failed, so the worker cannot go on."""
        failures = [one for one in result if isinstance(one, Failure)] if isinstance(result, list) else []
        return next(filter(None, (worker_fault(failure.error) for failure in failures)), "")


def results_of(
    executor: Executor, work: Work, pieces: Sequence[Piece], watch: Callable[[Workers], None] | None = None
) -> Iterator[Outcome]:
    """Yield the outcome of each piece, as they come; raise what a piece raised, and give up the others then.

    Parameters
    ----------
    executor, work, pieces, watch
        As of `tokimp.contracts.executor.Executor.run`; by default nobody hears of workers.
    """
    with closing(executor.run(work, pieces, watch or _unwatched)) as outcomes:
        for outcome in outcomes:
            if outcome.failure is not None:
                raise as_raised_here(outcome.failure)
            yield outcome


def as_raised_here(failure: Failure) -> Exception:
    """Return what a piece raised; where it was raised elsewhere, with a note of where that was."""
    if failure.error.__traceback__ is None and failure.traceback:
        failure.error.add_note(f"raised in a worker:\n\n{failure.traceback}")
    return failure.error


def _unwatched(_workers: Workers) -> None:
    """Tell nobody how many workers there are."""
