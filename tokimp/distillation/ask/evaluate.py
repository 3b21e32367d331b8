"""How well a student answers a task's questions, how long it reasons, and whether it is better than another."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tokimp.chains.prompt_format import PromptFormat
from tokimp.contracts.progress import Progress
from tokimp.contracts.scorer import Scorer
from tokimp.contracts.task import Question, Task
from tokimp.distillation.ask.ask import Asked, Asking, Interview, Judged
from tokimp.distillation.ask.paired import PairedTest, paired_test
from tokimp.distillation.ask.share_interval import INTERVALS, Interval, share_interval
from tokimp.errors import DistillationError
from tokimp.storage.atomic import remove_partial, write_object, write_records
from tokimp.storage.batch_log import NAME, BatchLog
from tokimp.storage.run_folder import RunFolder

ANSWERS, EVALUATION = "answers.jsonl", "evaluation.json"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a model's answers came to.

    Attributes
    ----------
    task, model_id, fingerprint
        The task's label; the model, and a digest of what it is.
    n
        Questions.
    accuracy, low, high
        Share answered right, and its interval.
    interval, confidence
        How that was made, and what it is worth.
    unparsed
        Share of responses in which the task found no answer; they count as wrong.
    reasoning_tokens
        Tokens of reasoning a response, on average over those with an answer; ``None`` where there are none.
    tokens_forwarded
        Token positions passed through the model.
    right
        Whether each question, by its id, was answered right.
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
            numbers = json.loads((folder / EVALUATION).read_text(encoding="utf-8"))
            records = [json.loads(line) for line in (folder / ANSWERS).read_text("utf-8").split("\n") if line]
            fields = {field.name: numbers[field.name] for field in dataclasses.fields(cls) if field.name != "right"}
            found = cls(**fields, right={str(record["id"]): bool(record["right"]) for record in records})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DistillationError(
                f"{folder} holds no finished evaluation ({type(error).__name__}: {error}); name a folder of "
                "tokimp evaluate, or finish it with the same command"
            ) from error
        if len(found.right) != found.n:
            raise DistillationError(
                f"{folder / ANSWERS} has {len(found.right)} questions and {EVALUATION} {found.n}; evaluate anew"
            )
        return found

    def against(self, before: Evaluation, *, seed: int = 0) -> PairedTest:
        """Compare with another evaluation on the same questions; this one comes first."""
        return paired_test(self.right, before.right, confidence=self.confidence, seed=seed)


def evaluate(
    student: Scorer,
    task: Task,
    questions: Sequence[Question],
    out: str | Path,
    *,
    prompt_format: PromptFormat = "auto",
    max_new_tokens: int | None = None,
    interval: Interval = "wilson",
    confidence: float = 0.95,
    batch_questions: int = 256,
    before: str | Path | None = None,
    origin: Mapping[str, Any] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Evaluation:
    """Let a model answer questions, always with its most likely token, and count what is right.

    Parameters
    ----------
    student
        A scorer that generates, or what `tokimp.models.writing.load.load_engine` returns.
    task
        Reads the responses.
    questions
        What is asked; ids are unique.
    out
        A folder: ``answers.jsonl``, a record a question, and ``evaluation.json``. Every finished batch is kept in
        ``batches.jsonl``: the same call continues what was killed, and ends with the same bytes.
    prompt_format
        As of `tokimp.tokenize_chain`.
    max_new_tokens
        Of a response; the task's own number by default.
    interval
        ``wilson`` (Wilson 1927, Journal of the American Statistical Association 22) or ``bootstrap`` (questions
        resampled). It and `confidence` may change from call to call in one folder.
    confidence
        Of the interval, between 0 and 1.
    batch_questions
        Questions that are answered together, and kept together.
    before
        The folder of another evaluation on the same questions, such as of the student before training: the paired
        comparison is stored in ``evaluation.json`` under ``before``.
    origin
        Where the questions come from (``{"source": ..., "split": ..., "limit": ..., "seed": ...}``), to be named where
        `out` holds a run on others.
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
        If the student does not generate.
    """
    if interval not in INTERVALS:
        raise DistillationError(f"interval={interval!r} is not allowed; give {' or '.join(INTERVALS)}")
    if not 0 < confidence < 1:
        raise DistillationError(f"confidence={confidence} is not allowed; give a number between 0 and 1")
    asking = Asking(
        max_new_tokens=task.max_new_tokens if max_new_tokens is None else max_new_tokens,
        batch_questions=batch_questions,
    )
    interview = Interview(task, student, asking, prompt_format)
    asked = interview.prepare(questions)
    earlier = None if before is None else _same_questions(Evaluation.load(before), asked, before)
    out = Path(out)
    with RunFolder(out, interview.identity("evaluate", asked), work=NAME, origin=origin):
        remove_partial(out)
        log = BatchLog(out)
        answers = [responses[0] for responses in interview.hold(asked, log, progress)]
        tokens = [interview.layout.count(answer.reasoning) if answer.parsed else None for answer in answers]
        found = _summarise(interview, asked, answers, tokens, interval=interval, confidence=confidence, log=log)
        write_records(out / ANSWERS, map(_record, asked, answers, tokens))
        content = dataclasses.asdict(found)
        del content["right"]  # it stands in the answers
        if earlier is not None:
            content["before"] = {
                "model_id": earlier.model_id,
                "fingerprint": earlier.fingerprint,
                "accuracy": earlier.accuracy,
                **dataclasses.asdict(found.against(earlier)),
            }
        # Last, so that where there is an evaluation its answers are there.
        write_object(out / EVALUATION, content)
    return found


def _same_questions(before: Evaluation, asked: Asked, folder: str | Path) -> Evaluation:
    """Raise, before any work, unless another evaluation is on the same questions."""
    ids = {question.id for question, _ in asked}
    if ids != before.right.keys():
        raise DistillationError(
            f"{folder} is on other questions ({len(ids ^ before.right.keys())} are on one side only); evaluate both on "
            "the same task, source, split, limit and seed"
        )
    return before


def _summarise(
    interview: Interview,
    asked: Asked,
    answers: Sequence[Judged],
    tokens: Sequence[int | None],
    *,
    interval: Interval,
    confidence: float,
    log: BatchLog,
) -> Evaluation:
    right = [answer.right for answer in answers]
    low, high = share_interval(right, interval=interval, confidence=confidence)
    counted = [count for count in tokens if count is not None]
    return Evaluation(
        task=interview.task.label,
        model_id=interview.model.model_id,
        fingerprint=interview.model.fingerprint(),
        n=len(asked),
        accuracy=sum(right) / len(right),
        low=low,
        high=high,
        interval=interval,
        confidence=confidence,
        unparsed=sum(not answer.parsed for answer in answers) / len(answers),
        reasoning_tokens=sum(counted) / len(counted) if counted else None,
        tokens_forwarded=sum(batch["tokens_forwarded"] for batch in log.batches),
        right={question.id: answer.right for (question, _), answer in zip(asked, answers, strict=True)},
    )


def _record(asked: tuple[Question, Any], answer: Judged, tokens: int | None) -> dict[str, Any]:
    question, _ = asked
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
