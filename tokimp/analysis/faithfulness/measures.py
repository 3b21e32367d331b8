"""The measures of faithfulness: numbers that are read off each version of a chain."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from tokimp.analysis.deletion_orders import Units, positions_of
from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import Answer, LogprobTensors, Objective, Reasoning, Span
from tokimp.contracts.operators import Delete, Knockout, KnockoutWithLikelihoods, Operator
from tokimp.contracts.scorer import Capability, Scorer
from tokimp.contracts.subset_scores import SubsetScores


@dataclass(frozen=True, slots=True)
class Measures:
    """The measures of the versions of a chain: likelihoods, and the run's objective if it is none of these.

    Attributes
    ----------
    objective
        The objective of the run.
    operator
        How units are taken away.
    """

    objective: Objective
    operator: Operator = field(default_factory=Delete)

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
        terms in a shorter version, and a mean over reasoning and answer is more and more about the answer; unless the
        operator leaves the log-probabilities of what it takes away in the sum.
        """
        stays = self.operator.keeps_own_logprobs
        own = [stays or Span.REASONING not in self.objective.spans] if self._has_own else []
        return [True, True, True, stays, stays, *own]

    def score(self, scorer: Scorer, chain: TokenizedChain, versions: Iterable[Units]) -> FloatArray:
        """Return the measures of versions of a chain, each given by the units it keeps, [measure, version].

        Likelihoods are in nats.
        """
        kept = list(versions)
        answer, reasoning, own = self._likelihoods(scorer, chain, kept)
        joint = reasoning + answer
        lengths = np.array([self._summed(chain, units) + len(chain.answer_ids) for units in kept])
        per_token = answer / len(chain.answer_ids)
        rows = [answer, np.exp(answer), per_token, joint, joint / lengths]
        return np.stack([*rows, own] if self._has_own else rows)

    def _likelihoods(
        self, scorer: Scorer, chain: TokenizedChain, kept: Sequence[Units]
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the log-likelihoods of answer and reasoning, and the objective, [version] each."""
        operator = self.operator
        if isinstance(operator, Knockout) and Capability.KNOCKOUT_LOGPROBS in scorer.capabilities:
            operator = KnockoutWithLikelihoods()
        if operator.gives_likelihoods:
            objective = _WithLikelihoods(self.objective)
            scores = SubsetScores(scorer, chain, objective, operator).score(kept)
            return scores.answer, scores.reasoning, scores.objective
        # Such an operator gives one number a pass.
        objectives = [Answer(), Reasoning(), *([self.objective] if self._has_own else [])]
        answer, reasoning, *own = (
            SubsetScores(scorer, chain, objective, self.operator).score(kept).objective for objective in objectives
        )
        return answer, reasoning, own[0] if own else answer

    def _summed(self, chain: TokenizedChain, units: Units) -> int:
        """Return over how many reasoning tokens the joint log-likelihood of a version is a sum."""
        return len(chain.reasoning_ids) if self.operator.keeps_own_logprobs else len(positions_of(chain, units))


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
