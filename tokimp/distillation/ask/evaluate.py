"""Evaluate a student: how well it answers a task's questions, how long it reasons, and whether it beats another."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tokimp.analysis.statistics.intervals import share_interval
from tokimp.chains.prompt_format import PromptFormat
from tokimp.chains.think_tags import ThinkTags
from tokimp.contracts.executor import Executor
from tokimp.contracts.progress import Progress
from tokimp.contracts.registry import load_executor
from tokimp.contracts.scorer import Scorer
from tokimp.contracts.task import Question, Task
from tokimp.distillation.ask.ask import Asker
from tokimp.distillation.ask.batches import Judged, PromptedQuestions
from tokimp.distillation.ask.cost import PendingBatches
from tokimp.distillation.ask.paired import PairedTest, paired_test
from tokimp.distillation.ask.settings import settings_of
from tokimp.errors import DistillationError
from tokimp.storage.atomic import remove_partial, write_object, write_records
from tokimp.storage.batch_log import NAME, BatchLog
from tokimp.storage.digests import file_digest
from tokimp.storage.json_file import parse_json, read_object
from tokimp.storage.run_folder import RunFolder

ANSWERS, EVALUATION = "answers.jsonl", "evaluation.json"
_ANSWERS_DIGEST = "answers_digest"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result of an evaluation.

    Attributes
    ----------
    task, model_id, fingerprint
        The task's label; the model's name, and a digest of its weights and configuration.
    n
        Number of questions.
    accuracy, low, high
        Share of the questions answered right, and the bounds of its interval. An answer of which that is not known
        does not count as right.
    interval, confidence
        How the interval was made, and its confidence.
    unparsed
        Share of responses in which the task found no answer; they count as wrong.
    reasoning_tokens
        Mean number of reasoning tokens in the responses that have an answer; ``None`` if none has.
    tokens_forwarded
        Token positions passed through the model.
    right
        Whether each question, by its id, was answered right, and is known to be.
    not_known
        Share of the questions with an answer of which the task does not know whether it is right. The accuracy lies
        between `accuracy` and `accuracy + not_known`.
    """

    task: str
    model_id: str
    fingerprint: str
    n: int
    accuracy: float
    low: float
    high: float
    interval: str
    confidence: float
    unparsed: float
    reasoning_tokens: float | None
    tokens_forwarded: int
    right: Mapping[str, bool]
    not_known: float = 0.0

    @classmethod
    def load(cls, out: str | Path) -> Self:
        """Read the evaluation in a folder of `evaluate`.

        Raises
        ------
        DistillationError
            If there is none, or it is damaged.
        """
        folder = Path(out)
        try:
            numbers = read_object(folder / EVALUATION)
            records = [parse_json(line) for line in (folder / ANSWERS).read_text("utf-8").split("\n") if line]
            # Evaluations of 0.1.0 called what was not known wrong, and have no number of it.
            numbers.setdefault("not_known", 0.0)
            fields = {field.name: numbers[field.name] for field in dataclasses.fields(cls) if field.name != "right"}
            evaluation = cls(**fields, right={str(record["id"]): bool(record["right"]) for record in records})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DistillationError(
                f"{folder} holds no finished evaluation ({type(error).__name__}: {error}); name a folder of "
                "tokimp evaluate, or finish it with the same command"
            ) from error
        if len(evaluation.right) != evaluation.n:
            raise DistillationError(
                f"{folder / ANSWERS} has {len(evaluation.right)} questions and {EVALUATION} {evaluation.n}; evaluate "
                "anew"
            )
        if numbers.get(_ANSWERS_DIGEST) not in {None, file_digest(folder / ANSWERS)}:
            raise DistillationError(
                f"{folder / ANSWERS} is damaged (it does not have the digest that it was written with); give the same "
                "command again: what was answered is kept, and the file written anew"
            )
        return evaluation

    def against(self, other: Evaluation) -> PairedTest:
        """Compare with another evaluation on the same questions: this one's accuracy minus the other's."""
        return paired_test(self.right, other.right, confidence=self.confidence)


def evaluate(
    student: Scorer,
    task: Task,
    questions: Sequence[Question],
    out: str | Path,
    *,
    prompt_format: PromptFormat = "auto",
    think_tags: ThinkTags | None = None,
    max_new_tokens: int | None = None,
    confidence: float = 0.95,
    batch_questions: int = 256,
    before: str | Path | None = None,
    origin: Mapping[str, Any] | None = None,
    executor: str | Executor = "local",
    before_work: Callable[[PendingBatches], None] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Evaluation:
    """Let a model answer questions, always with its most likely token, and count the right answers.

    Parameters
    ----------
    student
        A scorer that generates, or what `tokimp.models.writing.load.load_engine` returns.
    task
        Reads the responses.
    questions
        Questions with different ids.
    out
        A folder: ``answers.jsonl``, a record for each question, and ``evaluation.json``. Every finished batch is kept
        in ``batches.jsonl``: the same call continues a run that was killed, and ends with the same bytes.
    prompt_format, think_tags
        As for `tokimp.tokenize_chain`.
    max_new_tokens
        Most tokens in a response; the task's own number by default.
    confidence
        Confidence of the interval of the accuracy, which is Wilson's (1927, Journal of the American Statistical
        Association 22) and is about other questions for the same student. It may change from call to call in one
        folder.
    batch_questions
        Number of questions that are answered together, and stored together.
    before
        The folder of another evaluation on the same questions, such as of the student before training: the paired
        comparison is stored in ``evaluation.json`` under ``before``.
    origin
        Where the questions come from (``{"source": ..., "split": ..., "limit": ..., "seed": ...}``), for the
        message if `out` holds a run on other questions.
    executor
        Where batches are answered, as for `tokimp.distillation.ask.sample.sample`.
    before_work
        Called with what is to be asked, after all checks and before anything is.
    progress
        Called after every batch.

    Raises
    ------
    DistillationError
        If a parameter is not allowed, a question cannot be asked, or `before` holds no evaluation of these questions.
    TaskError, TokenizationError
        If the task fails on a response, or a question cannot be laid out.
    ResumeError
        If `out` holds another run, or is in use.
    UnsupportedError
        If the student does not generate, or workers are to load one that was made of objects in memory.
    ExecutorError
        If no worker can be started, or a batch was lost with each worker that tried it.
    """
    running = load_executor(executor)
    running.validate_parameters()
    if not 0 < confidence < 1:
        raise DistillationError(f"confidence={confidence} is not allowed; give a number between 0 and 1")
    settings = settings_of(task, max_new_tokens=max_new_tokens, batch_questions=batch_questions)
    asker = Asker(task, student, settings, prompt_format, think_tags)
    prompted = asker.prepare(questions)
    earlier = None if before is None else evaluation_of([question for question, _ in prompted], before)
    out = Path(out)
    if before_work is not None:
        with running:
            before_work(asker.pending(prompted, out, running, times_kept=3))
    with RunFolder(out, asker.identity("evaluate", prompted), work=NAME, origin=origin) as run:
        remove_partial(out)
        log = BatchLog(out)
        answers = [responses[0] for responses in asker.ask_all(prompted, log, progress, run=run, executor=running)]
        tokens = [asker.layout.count(answer.reasoning) if answer.parsed else None for answer in answers]
        evaluation = _summary(asker, prompted, answers, tokens, confidence=confidence, log=log)
        write_records(out / ANSWERS, map(_record, prompted, answers, tokens))
        content = dataclasses.asdict(evaluation)
        del content["right"]  # it is in the answers
        if earlier is not None:
            content["before"] = {
                "model_id": earlier.model_id,
                "fingerprint": earlier.fingerprint,
                "accuracy": earlier.accuracy,
                **dataclasses.asdict(evaluation.against(earlier)),
            }
        content[_ANSWERS_DIGEST] = file_digest(out / ANSWERS)
        # Written last, so that an evaluation never lacks its answers.
        write_object(out / EVALUATION, content)
    return evaluation


def evaluation_of(questions: Sequence[Question], folder: str | Path) -> Evaluation:
    """Return the earlier evaluation in a folder, or raise `DistillationError` if it is on other questions."""
    earlier = Evaluation.load(folder)
    ids = {question.id for question in questions}
    if ids != earlier.right.keys():
        raise DistillationError(
            f"{folder} is on other questions ({len(ids ^ earlier.right.keys())} are on one side only); evaluate both "
            "on the same task, source, split, limit and seed"
        )
    return earlier


def _summary(
    asker: Asker,
    prompted: PromptedQuestions,
    answers: Sequence[Judged],
    tokens: Sequence[int | None],
    *,
    confidence: float,
    log: BatchLog,
) -> Evaluation:
    right = [answer.right is True for answer in answers]
    share = share_interval(sum(right), len(right), confidence=confidence)
    counted = [count for count in tokens if count is not None]
    return Evaluation(
        task=asker.task.label,
        model_id=asker.model.model_id,
        fingerprint=asker.model.fingerprint(),
        n=len(prompted),
        accuracy=share.mean,
        low=share.low,
        high=share.high,
        interval="wilson",
        confidence=confidence,
        unparsed=sum(not answer.parsed for answer in answers) / len(answers),
        reasoning_tokens=sum(counted) / len(counted) if counted else None,
        tokens_forwarded=sum(batch["tokens_forwarded"] for batch in log.whole),
        right={question.id: answer.right is True for (question, _), answer in zip(prompted, answers, strict=True)},
        not_known=sum(answer.parsed and answer.right is None for answer in answers) / len(answers),
    )


def _record(prompted: tuple[Question, Any], answer: Judged, tokens: int | None) -> dict[str, Any]:
    question, _ = prompted
    return {
        "id": question.id,
        "response": answer.response,
        "reasoning": answer.reasoning,
        "answer": answer.answer,
        "gold": question.gold,
        "right": answer.right,
        "parsed": answer.parsed,
        "reasoning_tokens": tokens,
    }
