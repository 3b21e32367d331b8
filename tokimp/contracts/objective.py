"""Objective: the contract of the number that is to be preserved, made of a chain's log-probabilities."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

import torch

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.parameters import Parameterized
from tokimp.contracts.plugin_output import described, plugin_code
from tokimp.errors import ObjectiveError, TokimpError


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
    answer_value
        Which of the answer's tokens are the value that it gives, ``(begin, end)``: `TokenizedChain.answer_value`.
    """

    reasoning: torch.Tensor
    answer: torch.Tensor
    wrong_answer: torch.Tensor | None = None
    answer_value: tuple[int, int] | None = None

    def copy(self) -> LogprobTensors:
        """Return copies of the tensors on the CPU; what is computed from them can be differentiated."""
        wrong_answer = None if self.wrong_answer is None else _copied(self.wrong_answer)
        return LogprobTensors(_copied(self.reasoning), _copied(self.answer), wrong_answer, self.answer_value)


def _copied(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.to("cpu", copy=True)


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
        # On the CPU, because objectives sum in float64, which Apple's GPUs lack. Copies, because results are made of
        # the same tensors, and an objective may be anybody's code.
        with plugin_code(f"the objective {self.name!r}", ObjectiveError, passed_on=TokimpError):
            values = self(logprobs.copy())
        versions = (len(logprobs.answer),)
        if not isinstance(values, torch.Tensor) or tuple(values.shape) != versions:
            shape = tuple(values.shape) if isinstance(values, torch.Tensor) else described(values)
            raise ObjectiveError(
                f"the objective {self.name!r} must return a tensor of one number a version, {versions}, not {shape}"
            )
        return values.double()

    def check(self, chain: TokenizedChain) -> None:
        """Raise `ObjectiveError` if the chain lacks a span that the objective reads."""
        if Span.WRONG_ANSWER in self.spans and not chain.wrong_answer_ids:
            raise ObjectiveError(
                f"{chain.chain.where}: the objective {self.name!r} needs a wrong answer; "
                "give the chain a 'wrong_answer' field, let the run draw one (--wrong-answers number; in Python "
                "wrong_answers='number'), or use another objective"
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


class AnswerValue(Objective):
    """log P(value of the answer | question, kept reasoning, what opens the value).

    ``answer`` adds up all tokens of the answer, also a mark such as ``####`` and the end of the turn. These can make up
    most of it; then it measures how sure the model is of the format. Here only the tokens count that hold a part of the
    value, such as ``18`` of ``#### 18``. A token that the value shares with the text beside it counts.

    Which characters are the value is decided by `tokimp.chains.datasets.correctness.split_answer`: the letter of a
    choice, what a field ``"answer"`` or a box holds, what follows a mark, what ``The answer is`` states, and the whole
    of any other answer.
    """

    name = "answer_value"
    spans = frozenset({Span.ANSWER})

    def __call__(self, logprobs: LogprobTensors) -> torch.Tensor:
        """Sum over the value, [version], nats."""
        if logprobs.answer_value is None:
            raise ObjectiveError(
                "the objective 'answer_value' was not told which tokens of the answer are its value; the scorer must "
                "pass on the chain's answer_value"
            )
        begin, end = logprobs.answer_value
        return _sum(logprobs.answer[:, begin:end])

    def check(self, chain: TokenizedChain) -> None:
        """Raise `ObjectiveError` if the chain's answer gives no value."""
        super().check(chain)
        if chain.answer_value is None:
            raise ObjectiveError(
                f"{chain.chain.where}: the objective 'answer_value' needs an answer that gives a value, and "
                f"{chain.chain.answer[:40]!r} gives none (a box that is empty or not closed?); mend it, or use the "
                "objective 'answer'"
            )


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
