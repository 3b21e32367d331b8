"""The measures of faithfulness: numbers that are read off each version of a chain."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from tokimp.analysis.deletion_orders import Units, positions_of
from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import LogprobTensors, Objective, Span
from tokimp.contracts.scorer import Scorer
from tokimp.contracts.subset_scores import SubsetScores


@dataclass(frozen=True, slots=True)
class Measures:
    """The measures of the versions of a chain: likelihoods, and the run's objective if it is none of these.

    Attributes
    ----------
    objective
        The objective of the run.
    """

    objective: Objective

    @property
    def _has_own(self) -> bool:
        return self.objective.name not in {"answer", "joint"}

    @property
    def names(self) -> list[str]:
        """The names of the measures."""
        own = [self.objective.label] if self._has_own else []
        return ["answer", "answer_probability", "answer_per_token", "joint", "joint_per_token", *own]

    @property
    def comparable(self) -> list[bool]:
        """Whether each measure can be compared between versions of different lengths.

        It can if it is about the same tokens in all versions: those of the answer. A sum over the reasoning has fewer
        terms in a shorter version, and a mean over reasoning and answer is more and more about the answer.
        """
        own = [Span.REASONING not in self.objective.spans] if self._has_own else []
        return [True, True, True, False, False, *own]

    def score(self, scorer: Scorer, chain: TokenizedChain, versions: Iterable[Units]) -> FloatArray:
        """Return the measures of versions of a chain, each given by the units it keeps, [measure, version].

        Likelihoods are in nats.
        """
        kept = list(versions)
        scores = SubsetScores(scorer, chain, _WithLikelihoods(self.objective)).score(kept)
        joint = scores.reasoning + scores.answer
        lengths = np.array([len(positions_of(chain, units)) + len(chain.answer_ids) for units in kept])
        per_token = scores.answer / len(chain.answer_ids)
        rows = [scores.answer, np.exp(scores.answer), per_token, joint, joint / lengths]
        return np.stack([*rows, scores.objective] if self._has_own else rows)


class _WithLikelihoods(Objective):
    """An objective that also asks the scorer for the likelihoods of reasoning and answer."""

    def __init__(self, objective: Objective) -> None:
        self._objective = objective
        self.name = objective.name  # type: ignore[misc] # a class attribute of others; here that of the wrapped one
        self.spans = objective.spans | {Span.REASONING, Span.ANSWER}  # type: ignore[misc] # likewise

    @property
    def label(self) -> str:
        """The label of the wrapped objective; the class tells the two apart."""
        return self._objective.label

    def __call__(self, logprobs: LogprobTensors) -> torch.Tensor:
        """Return the wrapped objective's values, [version]."""
        return self._objective(logprobs)
