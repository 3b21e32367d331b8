"""Objective: the contract of the number that is to be preserved, made of a chain's log-probabilities."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

import torch

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.parameters import Parameterized
from tokimp.errors import ObjectiveError


class Span(StrEnum):
    """The spans of a chain whose log-probabilities an objective can read."""

    REASONING = "reasoning"
    ANSWER = "answer"
    WRONG_ANSWER = "wrong_answer"


@dataclass(frozen=True, slots=True)
class LogprobTensors:
    """Log-probabilities (nats, float32) of several equally long versions of one chain.

    Attributes
    ----------
    reasoning
        The reasoning tokens still kept, [version, kept token]; may be NaN unless `Objective.spans` asks for them.
    answer
        The answer's tokens, [version, answer token].
    wrong_answer
        The wrong answer's tokens after the same reasoning, [version, wrong-answer token]; ``None`` unless
        `Objective.spans` asks for them.
    """

    reasoning: torch.Tensor
    answer: torch.Tensor
    wrong_answer: torch.Tensor | None = None

    def cpu(self) -> LogprobTensors:
        """Return the same on the CPU."""
        wrong_answer = None if self.wrong_answer is None else self.wrong_answer.cpu()
        return LogprobTensors(self.reasoning.cpu(), self.answer.cpu(), wrong_answer)


class Objective(Parameterized, ABC):
    """The number that deletions are to preserve; higher means better preserved.

    A subclass has a `name`, lists the `spans` it reads, and turns their log-probabilities into one number a version. It
    uses torch's operations throughout, so that it can be differentiated. ``__init__`` only stores its parameters, each
    under its own name. `tokimp.testing.check_objective` checks all this.

    Attributes
    ----------
    spans
        The spans it reads; scorers need not compute the others.

    Examples
    --------
    >>> class FirstAnswerToken(Objective):
    ...     name = "first_answer_token"
    ...     spans = frozenset({Span.ANSWER})
    ...
    ...     def __call__(self, logprobs):
    ...         return logprobs.answer[:, 0].double()
    >>> FirstAnswerToken()(LogprobTensors(torch.zeros(2, 3), torch.tensor([[-1.0, -2.0], [-0.5, 0.0]]))).tolist()
    [-1.0, -0.5]
    """

    _error = ObjectiveError
    spans: ClassVar[frozenset[Span]] = frozenset({Span.REASONING, Span.ANSWER})

    @abstractmethod
    def __call__(self, logprobs: LogprobTensors) -> torch.Tensor:
        """Return one number (float64, nats unless the objective says otherwise) a version, [version]."""

    def evaluate(self, logprobs: LogprobTensors) -> torch.Tensor:
        """Return the number of each version on the CPU, [version], float64; this is what scorers call.

        Raises
        ------
        ObjectiveError
            If the objective does not return one number a version.
        """
        # On the CPU, because objectives sum in float64, which Apple's GPUs lack.
        values = self(logprobs.cpu())
        versions = (len(logprobs.answer),)
        if not isinstance(values, torch.Tensor) or tuple(values.shape) != versions:
            shape = tuple(values.shape) if isinstance(values, torch.Tensor) else type(values).__name__
            raise ObjectiveError(
                f"the objective {self.name!r} must return a tensor of one number a version, {versions}, not {shape}"
            )
        return values.double()

    def check(self, chain: TokenizedChain) -> None:
        """Raise `ObjectiveError` if the chain lacks a span that the objective reads."""
        if Span.WRONG_ANSWER in self.spans and not chain.wrong_answer_ids:
            raise ObjectiveError(
                f"{chain.chain.where}: the objective {self.name!r} needs a wrong answer; "
                "give the chain a 'wrong_answer' field, or use another objective"
            )


def _sum(logprobs: torch.Tensor) -> torch.Tensor:
    return logprobs.sum(dim=-1, dtype=torch.float64)


class Joint(Objective):
    """log P(kept reasoning, answer | question): the paper's objective."""

    name = "joint"

    def __call__(self, logprobs: LogprobTensors) -> torch.Tensor:
        """Sum over reasoning and answer, [version], nats."""
        return _sum(logprobs.reasoning) + _sum(logprobs.answer)


class Answer(Objective):
    """log P(answer | question, kept reasoning)."""

    name = "answer"
    spans = frozenset({Span.ANSWER})

    def __call__(self, logprobs: LogprobTensors) -> torch.Tensor:
        """Sum over the answer, [version], nats."""
        return _sum(logprobs.answer)


class Reasoning(Objective):
    """log P(kept reasoning | question)."""

    name = "reasoning"
    spans = frozenset({Span.REASONING})

    def __call__(self, logprobs: LogprobTensors) -> torch.Tensor:
        """Sum over the kept reasoning, [version], nats."""
        return _sum(logprobs.reasoning)


class Contrast(Objective):
    """log P(answer | question, kept reasoning) - log P(wrong answer | question, kept reasoning)."""

    name = "contrast"
    spans = frozenset({Span.ANSWER, Span.WRONG_ANSWER})

    def __call__(self, logprobs: LogprobTensors) -> torch.Tensor:
        """Difference of the two answers' log-likelihoods, [version], nats."""
        if logprobs.wrong_answer is None:
            raise ObjectiveError("the objective 'contrast' was given no log-probabilities of a wrong answer")
        return _sum(logprobs.answer) - _sum(logprobs.wrong_answer)
