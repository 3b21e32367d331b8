"""Operators: ways to take units away from a chain (deletion, attention knockout), each scored by the same call."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import Objective
from tokimp.contracts.scorer import Capability, DeletionScores, Scorer


class Operator(ABC):
    """Takes units away from a chain, and scores what is left.

    Numbers of different operators must not be compared with each other, only what they imply (ranks, say): they keep
    other positions and sum over other tokens.

    Attributes
    ----------
    name
        What it is called.
    requires
        What it asks of the scorer.
    keeps_positions
        Whether every token stays at its position.
    keeps_own_logprobs
        Whether the log-probabilities of the tokens taken away stay in sums over the reasoning.
    """

    name: ClassVar[str]
    requires: ClassVar[frozenset[Capability]]
    keeps_positions: ClassVar[bool]
    keeps_own_logprobs: ClassVar[bool]

    @abstractmethod
    def score(
        self, scorer: Scorer, chain: TokenizedChain, taken: Sequence[Sequence[int]], objective: Objective
    ) -> DeletionScores:
        """Score a chain from which some of the reasoning is taken away.

        Parameters
        ----------
        scorer
            The model that scores.
        chain
            The full chain.
        taken
            For each version the positions of the reasoning tokens that are taken away, ascending; an empty one takes
            nothing.
        objective
            The number to compute for each version.

        Returns
        -------
        DeletionScores
            One entry a version. ``reasoning`` and ``answer`` may be NaN if the operator does not give them.
        """


@dataclass(frozen=True)
class Delete(Operator):
    """Deletes tokens: later ones move up, and what is deleted leaves every sum."""

    name = "delete"
    requires = frozenset({Capability.DELETIONS})
    keeps_positions = False
    keeps_own_logprobs = False

    def score(
        self, scorer: Scorer, chain: TokenizedChain, taken: Sequence[Sequence[int]], objective: Objective
    ) -> DeletionScores:
        """Score the shortened chains; see `Scorer.score_deletions`."""
        return scorer.score_deletions(chain, range(len(chain.reasoning_ids)), taken, objective)


@dataclass(frozen=True)
class Knockout(Operator):
    """Hides tokens from all that follow them; positions and the hidden tokens' own log-probabilities stay."""

    name = "knockout"
    requires = frozenset({Capability.KNOCKOUT})
    keeps_positions = True
    keeps_own_logprobs = True

    def score(
        self, scorer: Scorer, chain: TokenizedChain, taken: Sequence[Sequence[int]], objective: Objective
    ) -> DeletionScores:
        """Score the chain with tokens hidden; see `Scorer.score_knockouts`. Only the objective is given."""
        values = scorer.score_knockouts(chain, taken, objective)
        unknown = np.full(len(taken), np.nan)
        return DeletionScores(objective=values, reasoning=unknown, answer=unknown)


OPERATORS: Mapping[str, type[Operator]] = MappingProxyType({"delete": Delete, "knockout": Knockout})
"""The operators, by name."""


class RequiredByOperator:
    """The attribute `requires` of a class with a parameter ``operator``: what that operator asks of the scorer.

    Of the class itself, which has no operator yet, it is what deletion asks.

    Parameters
    ----------
    *also
        What is required whatever the operator is.
    """

    def __init__(self, *also: Capability) -> None:
        self._also = frozenset(also)

    def __get__(self, instance: Any, owner: type[Any]) -> frozenset[Capability]:
        """Return what is required by an instance, or by its class."""
        operator = OPERATORS.get(getattr(instance, "operator", "delete"), Delete)
        return self._also | operator.requires
