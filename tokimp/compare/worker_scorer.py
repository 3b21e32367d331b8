"""A scorer that only workers have: the process that hands out cells knows what it is, and asks it for no number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tokimp.chains.chain import TokenizedChain
from tokimp.compare.scorer_work import ScorerWork, results_of
from tokimp.contracts.executor import Executor, Piece
from tokimp.contracts.registry import plugin_identity
from tokimp.contracts.scorer import Capability, Scorer, SpanLogprobs
from tokimp.contracts.scorer_recipe import ScorerRecipe
from tokimp.errors import UnsupportedError


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

    def __init__(self, recipe: ScorerRecipe | None, facts: ScorerFacts) -> None:
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
        raise UnsupportedError(
            f"the scorer of {self.model_id!r} is in workers, and gives numbers only there; use the executor local"
        )


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
    (outcome,) = results_of(executor, ScorerWork(recipe, facts_of), pieces)
    return WorkerScorer(recipe, outcome.result)


def facts_of(scorer: Scorer, _asked: None = None) -> ScorerFacts:
    """Return what a scorer is, as the process that hands out work needs to know it."""
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
