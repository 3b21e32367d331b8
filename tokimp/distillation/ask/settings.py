"""How questions are put to a model: how many responses, in which rounds, at which temperature."""

from __future__ import annotations

from dataclasses import dataclass

from tokimp.contracts.task import Task
from tokimp.errors import DistillationError


@dataclass(frozen=True, slots=True)
class AskSettings:
    """The settings with which questions are put to a model.

    Attributes
    ----------
    n
        Responses to a question, at most.
    per_round
        How many of them are written at a time. Once a question has a right response, it is not asked again.
    temperature, seed, max_new_tokens
        As for `tokimp.contracts.scorer.Scorer.generate`.
    batch_questions
        Number of questions in a batch. The responses of a batch are written together, and stored together.
    """

    n: int = 1
    per_round: int = 1
    temperature: float = 0.0
    seed: int = 0
    max_new_tokens: int = 256
    batch_questions: int = 64

    def check(self) -> None:
        """Raise `DistillationError` if a value is not allowed."""
        whole = {"n": self.n, "max_new_tokens": self.max_new_tokens, "batch_questions": self.batch_questions}
        for name, value in whole.items():
            if value < 1:
                raise DistillationError(f"{name}={value} is not allowed; give a whole number from 1 on")
        if not 1 <= self.per_round <= self.n:
            raise DistillationError(f"per_round={self.per_round} is not allowed; give a number from 1 to n={self.n}")
        if self.temperature < 0:
            raise DistillationError(f"temperature={self.temperature} is not allowed; give 0 or more")
        if self.n > 1 and self.temperature == 0:
            raise DistillationError(
                f"at temperature 0 all {self.n} responses are one and the same; give n=1, or a temperature above 0"
            )


def settings_of(
    task: Task,
    *,
    n: int = 1,
    per_round: int | None = None,
    temperature: float = 0.0,
    seed: int = 0,
    max_new_tokens: int | None = None,
    batch_questions: int = 64,
) -> AskSettings:
    """Return settings in which a task's own number of tokens, and all responses in one round, are the defaults."""
    return AskSettings(
        n=n,
        per_round=n if per_round is None else per_round,
        temperature=temperature,
        seed=seed,
        max_new_tokens=task.max_new_tokens if max_new_tokens is None else max_new_tokens,
        batch_questions=batch_questions,
    )
