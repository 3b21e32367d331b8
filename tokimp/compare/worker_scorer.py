"""A scorer that only workers have: the process that hands out cells knows what it is, and asks it for no number."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.executor import Executor, Piece, Work, Workers
from tokimp.contracts.registry import plugin_identity
from tokimp.contracts.scorer import Capability, Scorer, SpanLogprobs
from tokimp.contracts.scorer_recipe import ScorerRecipe
from tokimp.errors import UnsupportedError
from tokimp.models.kept_scorer import kept_scorer


@dataclass(frozen=True, slots=True)
class ScorerFacts:
    """What a worker says about the scorer that it loaded.

    Attributes
    ----------
    attributes
        Those of the scorer, by name.
    fingerprint
        Its fingerprint; empty if it has none.
    identity
        The name and the distribution that offer its class (`tokimp.contracts.registry.plugin_identity`).
    """

    attributes: Mapping[str, Any]
    fingerprint: str
    identity: Mapping[str, str]


class WorkerScorer(Scorer):
    """Stands for a scorer that workers have loaded. It gives no numbers: workers do.

    Parameters
    ----------
    recipe
        What workers load it from.
    facts
        What one of them said about it.
    """

    def __init__(self, recipe: ScorerRecipe, facts: ScorerFacts) -> None:
        for name, value in facts.attributes.items():
            setattr(self, name, value)
        self.recipe = recipe
        self.identity = facts.identity
        self._fingerprint = facts.fingerprint

    def fingerprint(self) -> str:
        """Return the fingerprint that the worker's scorer has."""
        return self._fingerprint or super().fingerprint()

    def logprobs(self, chains: Sequence[TokenizedChain]) -> list[SpanLogprobs]:
        """Raise `UnsupportedError`: numbers come from workers."""
        raise UnsupportedError(f"the scorer of {self.model_id!r} is in workers, and gives numbers only there")


def scorer_of_workers(executor: Executor, recipe: ScorerRecipe) -> WorkerScorer:
    """Let a worker load a scorer, and return what stands for it here.

    Parameters
    ----------
    executor
        Whose workers; entered, so that they keep the model for what follows.
    recipe
        What they load.

    Raises
    ------
    ExecutorError
        If no worker could load it; the message says why.
    """
    pieces = [Piece(0, f"loading {recipe.model}", None)]
    with closing(executor.run(Introduction(recipe), pieces, _unwatched)) as outcomes:
        for outcome in outcomes:
            if outcome.failure is not None:
                raise outcome.failure.error
            facts: ScorerFacts = outcome.result
    return WorkerScorer(recipe, facts)


class Introduction(Work):
    """Loads a scorer, and says what it is.

    Parameters
    ----------
    recipe
        What to load.
    """

    def __init__(self, recipe: ScorerRecipe) -> None:
        self._recipe = recipe
        self.device = recipe.device

    def prepare(self) -> Callable[[None], ScorerFacts]:
        """Load the scorer."""
        scorer = kept_scorer(self._recipe)
        return lambda _: _facts_of(scorer)


def _facts_of(scorer: Scorer) -> ScorerFacts:
    names = ("tokenizer", "backend", "model_id", "device", "dtype", "context_length", "call_cost", "chains_at_once")
    attributes = {name: getattr(scorer, name) for name in (*names, "loading", "reads_alone") if hasattr(scorer, name)}
    # Enumerations of another version of the contract would not be known here; its own are.
    attributes["capabilities"] = frozenset(Capability(one) for one in scorer.capabilities)
    try:
        fingerprint = scorer.fingerprint()
    except UnsupportedError:
        fingerprint = ""
    # A mapping that cannot be written to cannot be pickled either.
    attributes |= {name: dict(value) for name, value in attributes.items() if isinstance(value, Mapping)}
    return ScorerFacts(attributes, fingerprint, plugin_identity("scorers", scorer))


def _unwatched(_workers: Workers) -> None:
    """Tell nobody: a model is loaded, no cell is done."""
