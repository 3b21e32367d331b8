"""Put a task's questions to a model, batch by batch: each finished batch is on disk before the next starts."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from tokimp.chains.chain import Ids
from tokimp.chains.datasets import SkippedRecord
from tokimp.chains.prompt_format import PromptFormat
from tokimp.chains.think_tags import ThinkTags
from tokimp.contracts.checked_task import rightness
from tokimp.contracts.context_length import check_prompt_fits
from tokimp.contracts.progress import Progress
from tokimp.contracts.registry import plugin_identity
from tokimp.contracts.scorer import Capability, Scorer
from tokimp.contracts.task import Question, Task
from tokimp.distillation.ask.layout import Layout
from tokimp.errors import ContextLengthError, DistillationError, TaskError, TokenizationError, UnsupportedError
from tokimp.results.provenance import model_identity, plain_parameters, versions
from tokimp.storage.batch_log import BatchLog
from tokimp.storage.digests import json_digest
from tokimp.storage.run_folder import RunFolder

PromptedQuestions = Sequence[tuple[Question, Ids]]
"""Questions, each with its prompt."""


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


class Asker:
    """Puts the questions of a task to a model, and lets the task judge the responses.

    Parameters
    ----------
    task
        What reads the responses.
    model
        A scorer that generates.
    settings
        How the model is asked.
    prompt_format, think_tags
        As for `tokimp.tokenize_chain`.

    Raises
    ------
    TaskError, DistillationError, UnsupportedError
        If a parameter of the task or a setting is not allowed, or the model does not generate.
    TokenizationError
        If the format does not fit the tokenizer.
    """

    def __init__(
        self,
        task: Task,
        model: Scorer,
        settings: AskSettings,
        prompt_format: PromptFormat,
        think_tags: ThinkTags | None = None,
    ) -> None:
        task.validate_parameters()
        settings.check()
        if Capability.GENERATION not in model.capabilities:
            raise UnsupportedError(f"{model.backend!r} does not generate; use another backend, or load_engine")
        self.task = task
        self.model = model
        self.layout = Layout(model.tokenizer, prompt_format, think_tags)
        self._settings = settings

    def prepare(self, questions: Iterable[Question], skipped: list[SkippedRecord] | None = None) -> PromptedQuestions:
        """Return the questions with their prompts.

        Parameters
        ----------
        questions
            Questions with different ids.
        skipped
            A list to which questions that cannot be asked are added; they are left out. Without it, they are an error.

        Raises
        ------
        ContextLengthError, DistillationError, TokenizationError
            If there is no question, two have one id, or one cannot be turned into ids or leaves the model no room.
        """
        prompted: dict[str, tuple[Question, Ids]] = {}
        for question in questions:
            if question.id in prompted:
                raise DistillationError(f"two questions have the id {question.id!r}; give each an id of its own")
            try:
                prompted[question.id] = (question, self._prompt(question))
            except (ContextLengthError, TokenizationError) as error:
                if skipped is None:
                    raise
                skipped.append(SkippedRecord(f"question {question.id!r}", question.id, str(error)))
        if not prompted:
            why = f": {skipped[0].reason}" if skipped else ""
            raise DistillationError(f"there is no question to ask{why}; check the source, the split and the limit")
        return list(prompted.values())

    def _prompt(self, question: Question) -> Ids:
        ids = self.layout.prompt(question)
        check_prompt_fits(f"question {question.id!r}", len(ids), self.model)
        return ids

    def identity(self, what: str, prompted: PromptedQuestions) -> dict[str, Any]:
        """Return everything that changes the responses, for `tokimp.storage.run_folder.RunFolder`."""
        task = self.task
        return {
            "what": what,
            "task": {**plugin_identity("tasks", task), "parameters": plain_parameters(task.parameters())},
            "questions": [
                {"id": question.id, "text": json_digest([question.text, question.gold, question.system])}
                for question, _ in prompted
            ],
            "model": model_identity(self.model, self.model.fingerprint()),
            "prompt_format": self.layout.format,
            # Only where they are given, so that runs begun before there were tags are continued.
            **({"think_tags": list(self.layout.think_tags)} if self.layout.think_tags else {}),
            "asking": asdict(self._settings),
            "versions": versions(self.model),
        }

    def ask_all(
        self,
        prompted: PromptedQuestions,
        log: BatchLog,
        progress: Callable[[Progress], None] | None = None,
        *,
        run: RunFolder | None = None,
    ) -> list[list[Judged]]:
        """Let the model respond to every question, except those whose responses are in the log.

        Batches and their seeds depend on the questions and the settings alone, so that a run that was killed and
        continued has the same responses as one that was not.

        Parameters
        ----------
        prompted
            What `prepare` returns.
        log
            Where finished batches are stored.
        progress
            Called after every batch.
        run
            The folder of the run, if it is to record the number of threads that batches are computed with.

        Returns
        -------
        list of list of Judged
            [question][response]
        """
        judged: list[list[Judged]] = []
        start, written = time.perf_counter(), 0
        for index, begin in enumerate(range(0, len(prompted), self._settings.batch_questions)):
            batch = prompted[begin : begin + self._settings.batch_questions]
            stored = log.batches[index] if index < len(log.batches) else None
            kept = stored is not None and self._is_whole(stored, batch)
            if stored is not None and kept:
                judged += [
                    [self.judge(question, response) for response in responses]
                    for (question, _), responses in zip(batch, stored["responses"], strict=True)
                ]
            else:
                if run:
                    run.note_threads(torch.get_num_threads())
                tokens_before = self.model.tokens_forwarded
                texts: list[list[str]] = [[] for _ in batch]
                try:
                    judged += self._ask(batch, index, texts)
                # The responses were written before the task failed, and they cost the most. They are stored if
                # the batch is whole: each question has all its responses.
                except TaskError:
                    if all(len(responses) == self._settings.n for responses in texts):
                        log.store(index, self._batch(batch, texts, tokens_before))
                    raise
                log.store(index, self._batch(batch, texts, tokens_before))
                written += len(batch)
            if progress:
                seconds = time.perf_counter() - start
                progress(
                    Progress(
                        done=len(judged),
                        total=len(prompted),
                        chain_id=batch[-1][0].id,
                        estimator=self.model.model_id,
                        kept=kept,
                        tokens_forwarded=self.model.tokens_forwarded,
                        seconds_left=seconds / written * (len(prompted) - len(judged)) if written else None,
                    )
                )
        return judged

    def _batch(self, batch: PromptedQuestions, responses: list[list[str]], tokens_before: int) -> dict[str, Any]:
        """Return a batch as the log stores it: what the model wrote, not how the task judges it."""
        return {
            "ids": [question.id for question, _ in batch],
            "tokens_forwarded": self.model.tokens_forwarded - tokens_before,
            "responses": responses,
        }

    def _is_whole(self, stored: dict[str, Any], batch: PromptedQuestions) -> bool:
        """Whether a stored batch has everything that `_batch` puts into it; it is done again otherwise."""
        responses = stored.get("responses")
        return (
            stored.get("ids") == [question.id for question, _ in batch]
            and isinstance(stored.get("tokens_forwarded"), int)
            and isinstance(responses, list)
            and len(responses) == len(batch)
            and all(
                isinstance(texts, list) and texts and all(isinstance(text, str) for text in texts)
                for texts in responses
            )
        )

    def _ask(self, batch: PromptedQuestions, index: int, written: list[list[str]]) -> list[list[Judged]]:
        """Return the judged responses to one batch, in rounds: a question with a right one is not asked again.

        The texts of the model are added to `written`, [question][response], before they are judged.
        """
        settings = self._settings
        judged: list[list[Judged]] = [[] for _ in batch]
        for number, done in enumerate(range(0, settings.n, settings.per_round)):
            places = [place for place, so_far in enumerate(judged) if not any(response.right for response in so_far)]
            if not places:
                break
            digest_of_round = hashlib.sha256(f"{settings.seed} {index} {number}".encode()).digest()
            texts = self.model.generate(
                [batch[place][1] for place in places],
                max_new_tokens=settings.max_new_tokens,
                n=min(settings.per_round, settings.n - done),
                temperature=settings.temperature,
                seed=int.from_bytes(digest_of_round[:4], "big"),
            )
            for place, responses in zip(places, texts, strict=True):
                written[place] += responses
            for place, responses in zip(places, texts, strict=True):
                judged[place] += [self.judge(batch[place][0], response) for response in responses]
        return judged

    def judge(self, question: Question, response: str) -> Judged:
        """Divide a response into reasoning and answer, and compare the answer with the right one.

        Raises
        ------
        TaskError
            If the task's own code fails on the response.
        """
        try:
            parts = self.layout.divide(self.task, question, response)
            if parts is None:
                return Judged(response, "", "", parsed=False, right=False)
            return Judged(response, *parts, parsed=True, right=rightness(self.task, parts[1], question.gold))
        # A task may be a stranger's code; its error must say which response it failed on.
        except (Exception, SystemExit) as error:
            raise TaskError(
                f"question {question.id!r}: the task {self.task.name!r} failed on the response {response[-80:]!r} "
                f"({type(error).__name__}: {error}); mend its split or is_right"
            ) from error
