"""A batch of questions as a piece of work: a model responds to it anywhere, and the texts come back."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from tokimp.chains.chain import Ids
from tokimp.contracts.checked_task import rightness
from tokimp.contracts.scorer import Scorer
from tokimp.contracts.task import Question, Task
from tokimp.distillation.ask.layout import Layout
from tokimp.distillation.ask.settings import AskSettings
from tokimp.errors import TaskError

PromptedQuestions = Sequence[tuple[Question, Ids]]
"""Questions, each with its prompt."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Questions that are answered together.

    Attributes
    ----------
    index
        The number of the batch in its run; seeds are made of it.
    questions
        The questions, each with its prompt.
    """

    index: int
    questions: PromptedQuestions


@dataclass(frozen=True, slots=True)
class Written:
    """What a model wrote for a batch.

    Attributes
    ----------
    responses
        The texts, [question][response].
    tokens_forwarded
        Token positions passed through the model for it.
    """

    responses: list[list[str]]
    tokens_forwarded: int


@dataclass(frozen=True, slots=True)
class Judged:
    """A response, divided and judged by its task.

    Attributes
    ----------
    response
        The text that the model wrote.
    reasoning, answer
        The parts of the response; both are empty if the task finds no answer in it.
    parsed
        Whether the task found an answer.
    right
        Whether that answer is the right one; ``None`` if the task does not know.
    """

    response: str
    reasoning: str
    answer: str
    parsed: bool
    right: bool | None


@dataclass(frozen=True, slots=True)
class WriteBatch:
    """Lets a model respond to a batch: what `tokimp.compare.scorer_work.ScorerWork` calls.

    Attributes
    ----------
    task, layout, settings
        As of `tokimp.distillation.ask.ask.Asker`.
    """

    task: Task
    layout: Layout
    settings: AskSettings

    def __call__(self, model: Scorer, batch: Batch) -> Written:
        """Return the responses, written in rounds: a question with a right one is not asked again.

        Seeds depend on the run's seed, the batch and the round alone.

        Raises
        ------
        TaskError
            If the task's own code fails on a response on which the next round depends.
        """
        settings, tokens_before = self.settings, model.tokens_forwarded
        responses: list[list[str]] = [[] for _ in batch.questions]
        for number, done in enumerate(range(0, settings.n, settings.per_round)):
            everybody = range(len(responses))
            places = [place for place in everybody if not (done and self._has_right(batch, responses, place))]
            if not places:
                break
            digest_of_round = hashlib.sha256(f"{settings.seed} {batch.index} {number}".encode()).digest()
            texts = model.generate(
                [batch.questions[place][1] for place in places],
                max_new_tokens=settings.max_new_tokens,
                n=min(settings.per_round, settings.n - done),
                temperature=settings.temperature,
                seed=int.from_bytes(digest_of_round[:4], "big"),
            )
            for place, written in zip(places, texts, strict=True):
                responses[place] += written
        return Written(responses, model.tokens_forwarded - tokens_before)

    def _has_right(self, batch: Batch, responses: list[list[str]], place: int) -> bool:
        question, _ = batch.questions[place]
        return any(judge(self.task, self.layout, question, response).right for response in responses[place])


def judge(task: Task, layout: Layout, question: Question, response: str) -> Judged:
    """Divide a response into reasoning and answer, and compare the answer with the right one.

    Raises
    ------
    TaskError
        If the task's own code fails on the response.
    """
    try:
        parts = layout.divide(task, question, response)
        if parts is None:
            return Judged(response, "", "", parsed=False, right=False)
        return Judged(response, *parts, parsed=True, right=rightness(task, parts[1], question.gold))
    # A task may be a stranger's code; its error must say which response it failed on.
    except (Exception, SystemExit) as error:
        raise TaskError(
            f"question {question.id!r}: the task {task.name!r} failed on the response {response[-80:]!r} "
            f"({type(error).__name__}: {error}); mend its split or is_right"
        ) from error
