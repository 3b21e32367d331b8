"""Put a task's questions to a model, batch by batch: each finished batch is on disk before the next is stored."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from tokimp.analysis.recorded_run import known_fingerprint
from tokimp.chains.chain import Ids
from tokimp.chains.datasets import SkippedRecord
from tokimp.chains.prompt_format import PromptFormat
from tokimp.chains.think_tags import ThinkTags
from tokimp.compare.scorer_work import ScorerWork, results_of
from tokimp.contracts.context_length import check_prompt_fits
from tokimp.contracts.executor import Executor, Piece, Workers
from tokimp.contracts.progress import Progress
from tokimp.contracts.registry import load_executor, plugin_identity
from tokimp.contracts.scorer import Capability, Scorer
from tokimp.contracts.task import Question, Task
from tokimp.distillation.ask.batches import Batch, Judged, PromptedQuestions, WriteBatch, Written, judge
from tokimp.distillation.ask.cost import PendingBatches
from tokimp.distillation.ask.layout import Layout
from tokimp.distillation.ask.settings import AskSettings
from tokimp.errors import ContextLengthError, DistillationError, TokenizationError, UnsupportedError
from tokimp.results.provenance import model_identity, plain_parameters, versions
from tokimp.storage.batch_log import BatchLog
from tokimp.storage.digests import json_digest
from tokimp.storage.run_folder import RunFolder


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
                where = f"question {question.id!r}"
                skipped.append(SkippedRecord(where, question.id, str(error).removeprefix(f"{where}: ")))
        if not prompted:
            why = f": {skipped[0].where}: {skipped[0].reason}" if skipped else ""
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
        executor: Executor | None = None,
    ) -> list[list[Judged]]:
        """Let the model respond to every question, except those whose responses are in the log.

        Batches and their seeds depend on the questions and the settings alone, so that a run that was killed and
        continued, or was done by several workers, has the same responses as one that was not.

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
        executor
            Where the model is asked; here by default.

        Returns
        -------
        list of list of Judged
            [question][response]

        Raises
        ------
        TaskError
            If the task fails on a response. What was written is stored before.
        ExecutorError
            If no worker can be started, or a batch was lost with each worker that tried it.
        """
        executor = executor or load_executor("local")
        batches = self._batches(prompted)
        judged: dict[int, list[list[Judged]]] = {}
        pace = _Pace(len(prompted), self.model.model_id, progress)
        pieces = []
        for batch in batches:
            if (stored := _stored_whole(log, batch)) is not None:
                judged[batch.index] = self._judge(batch, stored["responses"])
                pace.add(batch, stored["tokens_forwarded"], kept=True)
                continue
            name = f"the batch from question {batch.questions[0][0].id!r} on"
            pieces.append(Piece(batch.index, name, batch, weight=float(len(batch.questions))))
        work = ScorerWork.for_executor(executor, self.model, self._write(), fingerprint=known_fingerprint(self.model))
        with executor:
            for outcome in results_of(executor, work, pieces, pace.watch):
                batch, written = outcome.piece.payload, outcome.result
                if run:
                    run.note_threads(outcome.threads or torch.get_num_threads())
                # The responses cost the most: they are stored before the task, which may fail, judges them.
                log.store(batch.index, _stored(batch, written))
                judged[batch.index] = self._judge(batch, written.responses)
                pace.add(batch, written.tokens_forwarded, kept=False)
        log.put_in_order()
        return [responses for batch in batches for responses in judged[batch.index]]

    def pending(
        self, prompted: PromptedQuestions, folder: Path, executor: Executor, *, times_kept: int = 2
    ) -> PendingBatches:
        """Return what `ask_all` would still ask; the folder of the run, if it is there, is only read.

        Parameters
        ----------
        prompted
            What `prepare` returns.
        folder
            The folder of the run.
        executor
            Where the model is asked, entered.
        times_kept
            How often the text of a response is kept on disk.
        """
        log = BatchLog(folder, writes=False)
        missing = [batch for batch in self._batches(prompted) if _stored_whole(log, batch) is None]
        return PendingBatches(missing, self._write(), self.model, executor, times_kept)

    def _write(self) -> WriteBatch:
        return WriteBatch(self.task, self.layout, self._settings)

    def _batches(self, prompted: PromptedQuestions) -> list[Batch]:
        size = self._settings.batch_questions
        begins = range(0, len(prompted), size)
        return [Batch(index, prompted[begin : begin + size]) for index, begin in enumerate(begins)]

    def _judge(self, batch: Batch, responses: Sequence[Sequence[str]]) -> list[list[Judged]]:
        """Return the judged responses to a batch, [question][response]."""
        return [
            [judge(self.task, self.layout, question, response) for response in texts]
            for (question, _), texts in zip(batch.questions, responses, strict=True)
        ]


def _stored(batch: Batch, written: Written) -> dict[str, Any]:
    """Return a batch as the log stores it: what the model wrote, not how the task judges it."""
    return {
        "ids": [question.id for question, _ in batch.questions],
        "tokens_forwarded": written.tokens_forwarded,
        "responses": written.responses,
    }


def _stored_whole(log: BatchLog, batch: Batch) -> dict[str, Any] | None:
    """Return what is stored of a batch, if it has everything that `_stored` puts into it; it is done again if not."""
    stored = log.batches[batch.index] if batch.index < len(log.batches) else None
    if stored is None:
        return None
    responses = stored.get("responses")
    is_whole = (
        stored.get("ids") == [question.id for question, _ in batch.questions]
        and isinstance(stored.get("tokens_forwarded"), int)
        and isinstance(responses, list)
        and len(responses) == len(batch.questions)
        and all(
            isinstance(texts, list) and texts and all(isinstance(text, str) for text in texts) for texts in responses
        )
    )
    return stored if is_whole else None


class _Pace:
    """Tells how many questions are answered, and how long the rest will take."""

    def __init__(self, total: int, model: str, progress: Callable[[Progress], None] | None) -> None:
        self._total, self._model, self._progress = total, model, progress
        self._workers = Workers(alive=0)
        self._done = self._now = self._positions = self._positions_now = 0
        self._began = time.perf_counter()

    def watch(self, workers: Workers) -> None:
        """Take note of how many workers there are."""
        self._workers = workers

    def add(self, batch: Batch, tokens_forwarded: int, *, kept: bool) -> None:
        """Count a batch."""
        self._done += len(batch.questions)
        self._positions += tokens_forwarded
        if not kept:
            self._now += len(batch.questions)
            self._positions_now += tokens_forwarded
        if self._progress is None:
            return
        seconds = time.perf_counter() - self._began
        self._progress(
            Progress(
                done=self._done,
                total=self._total,
                chain_id=batch.questions[-1][0].id,
                estimator=self._model,
                kept=kept,
                tokens_forwarded=self._positions,
                seconds_left=seconds / self._now * (self._total - self._done) if self._now else None,
                workers=self._workers.alive,
                lost=self._workers.lost,
                positions_per_second=self._positions_now / max(1e-9, seconds),
            )
        )
