"""Sample chains from a teacher: of n responses to a question, the first right one is kept (rejection sampling)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tokimp.chains.datasets import SkippedRecord
from tokimp.chains.prompt_format import PromptFormat
from tokimp.chains.think_tags import ThinkTags
from tokimp.contracts.executor import Executor
from tokimp.contracts.progress import Progress
from tokimp.contracts.registry import load_executor
from tokimp.contracts.scorer import Scorer
from tokimp.contracts.task import Question, Task
from tokimp.distillation.ask.ask import Asker
from tokimp.distillation.ask.cost import PendingBatches
from tokimp.distillation.ask.selection import LengthFilter, Selection, select
from tokimp.distillation.ask.settings import settings_of
from tokimp.errors import DistillationError
from tokimp.storage.atomic import remove_partial, write_object, write_records
from tokimp.storage.batch_log import NAME, BatchLog
from tokimp.storage.json_file import read_object
from tokimp.storage.run_folder import RunFolder

CHAINS, WRONG, UNSPLIT, DROPPED, REPORT = (
    "chains.jsonl",
    "wrong.jsonl",
    "unsplit.jsonl",
    "dropped.jsonl",
    "report.json",
)


@dataclass(frozen=True, slots=True)
class SampleReport:
    """The numbers of a sampling; ``report.json``.

    Attributes
    ----------
    task, teacher
        The task's label, and the model's name.
    questions, skipped
        Number of questions that were asked, and that were left out because they could not be asked.
    sampled
        Number of responses written: ``right + wrong + not_known + unsplittable``.
    right, wrong
        Number of responses with the right answer, and with another.
    unsplittable
        Number of responses in which the task finds no answer.
    without_reasoning
        Number of responses that are an answer without reasoning, right or wrong.
    duplicates
        Number of responses with the very text of an earlier response to the same question.
    questions_right
        Number of questions with at least one right response.
    kept
        Number of chains in ``chains.jsonl``.
    dropped_short, dropped_long, dropped_unstorable
        Number of right chains that were dropped: with too few characters, with more tokens than the percentile, and
        with characters that no result file can hold.
    reasoning_tokens, reasoning_characters
        Mean lengths of the reasoning in the chains kept; ``None`` if none is kept.
    tokens_forwarded
        Token positions passed through the teacher.
    not_known
        Number of responses with an answer of which the task does not know whether it is right.
    """

    task: str
    teacher: str
    questions: int
    skipped: int
    sampled: int
    right: int
    wrong: int
    unsplittable: int
    without_reasoning: int
    duplicates: int
    questions_right: int
    kept: int
    dropped_short: int
    dropped_long: int
    dropped_unstorable: int
    reasoning_tokens: float | None
    reasoning_characters: float | None
    tokens_forwarded: int
    not_known: int = 0

    @classmethod
    def load(cls, out: str | Path) -> Self:
        """Read the report in a folder of `sample`.

        Raises
        ------
        DistillationError
            If there is none, or it is damaged.
        """
        path = Path(out) / REPORT
        try:
            return cls(**read_object(path))
        except (OSError, ValueError, TypeError) as error:
            raise DistillationError(
                f"{path} is no report of a finished sampling ({type(error).__name__}: {error}); delete it and give the "
                "same command: what was sampled is kept, and the report written anew"
            ) from error


def sample(
    task: Task,
    questions: Sequence[Question],
    teacher: Scorer,
    out: str | Path,
    *,
    n: int = 10,
    temperature: float = 0.7,
    seed: int = 0,
    per_round: int | None = None,
    max_new_tokens: int | None = None,
    min_characters: int = 100,
    longest_percentile: float = 100.0,
    prompt_format: PromptFormat = "auto",
    think_tags: ThinkTags | None = None,
    batch_questions: int = 64,
    skipped: list[SkippedRecord] | None = None,
    origin: Mapping[str, Any] | None = None,
    executor: str | Executor = "local",
    before_work: Callable[[PendingBatches], None] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> SampleReport:
    """Let a teacher write chains, and keep the first right one of each question.

    Parameters
    ----------
    task
        Reads the responses.
    questions
        Questions with different ids.
    teacher
        A scorer that generates, or what `tokimp.models.writing.load.load_engine` returns.
    out
        A folder: ``chains.jsonl`` (`tokimp.load_chains` reads it), ``wrong.jsonl`` (likewise, ids ``question#sample``),
        ``unsplit.jsonl``, ``dropped.jsonl`` and ``report.json``. Every finished batch is kept in ``batches.jsonl``: the
        same call continues a run that was killed, and ends with the same bytes.
    n
        Number of responses to a question.
    temperature, seed
        Temperature and seed of the sampling.
    per_round
        Write this many at a time, and stop asking a question once it has a right response; all `n` at once by default.
    max_new_tokens
        Most tokens in a response; the task's own number by default.
    min_characters, longest_percentile
        As for `tokimp.distillation.ask.selection.LengthFilter`. These two may change from call to call in one folder:
        then the responses there are filtered anew.
    prompt_format, think_tags
        As for `tokimp.tokenize_chain`.
    batch_questions
        Number of questions that are answered together, and stored together.
    skipped
        A list to which questions that cannot be asked (longer than the model reads) are added; they are left out.
        Without it, they are an error.
    origin
        As for `tokimp.distillation.ask.evaluate.evaluate`.
    executor
        Where batches are written: a name with parameters where it has some (``processes:workers=2``), or an instance.
        The chains are the same everywhere, on the same kind of device. Except for ``local``, workers load the teacher
        themselves.
    before_work
        Called with what is to be asked, after all checks and before anything is.
    progress
        Called after every batch.

    Raises
    ------
    DistillationError
        If a parameter is not allowed, a question cannot be asked, or no chain is left; in the last case all files have
        been written.
    TaskError, TokenizationError
        If the task fails on a response, or a question cannot be laid out.
    ResumeError
        If `out` holds another run, or is in use.
    UnsupportedError
        If the teacher does not generate, or workers are to load one that was made of objects in memory.
    ExecutorError
        If no worker can be started, or a batch was lost with each worker that tried it.
    """
    running = load_executor(executor)
    running.validate_parameters()
    lengths = LengthFilter(min_characters, longest_percentile)
    lengths.check()
    settings = settings_of(
        task,
        n=n,
        per_round=per_round,
        temperature=temperature,
        seed=seed,
        max_new_tokens=max_new_tokens,
        batch_questions=batch_questions,
    )
    asker = Asker(task, teacher, settings, prompt_format, think_tags)
    prompted = asker.prepare(questions, skipped)
    out = Path(out)
    if before_work is not None:
        with running:
            before_work(asker.pending(prompted, out, running))
    with RunFolder(out, asker.identity("sample", prompted), work=NAME, origin=origin) as run:
        remove_partial(out)
        log = BatchLog(out)
        judged = asker.ask_all(prompted, log, progress, run=run, executor=running)
        selection = select([question for question, _ in prompted], judged, asker.layout, lengths)
        report = SampleReport(
            task=task.label,
            teacher=teacher.model_id,
            questions=len(prompted),
            skipped=len(skipped or []),
            **selection.counts,
            reasoning_tokens=_mean([record["reasoning_tokens"] for record in selection.chains]),
            reasoning_characters=_mean([len(record["reasoning"]) for record in selection.chains]),
            tokens_forwarded=sum(batch["tokens_forwarded"] for batch in log.whole),
        )
        _write(out, selection, report)
    if not selection.chains:
        raise _nothing_kept(out, report, selection)
    return report


def _mean(values: Sequence[int]) -> float | None:
    return sum(values) / len(values) if values else None


def _write(out: Path, selection: Selection, report: SampleReport) -> None:
    write_records(out / CHAINS, selection.chains)
    write_records(out / WRONG, selection.wrong)
    write_records(out / UNSPLIT, selection.unsplit)
    write_records(out / DROPPED, selection.dropped)
    # Written last, so that a report never lacks the rest.
    write_object(out / REPORT, dataclasses.asdict(report))


def _nothing_kept(out: Path, report: SampleReport, selection: Selection) -> DistillationError:
    if report.questions_right:
        dropped = (
            f"{report.dropped_short} are short, {report.dropped_long} long, {report.dropped_unstorable} unstorable"
        )
        return DistillationError(
            f"{out}: none of the {report.questions_right} questions with a right response keeps a chain ({dropped}, "
            f"{report.without_reasoning} responses have no reasoning); lower min_characters (now in the same folder, "
            "which samples nothing anew)"
        )
    shown = next((record["response"] for record in selection.unsplit), "")
    example = f"; one that cannot ends in {shown[-80:]!r}" if shown else ""
    unknown = f"of {report.not_known} it is not known, " if report.not_known else ""
    return DistillationError(
        f"{out}: none of {report.sampled} responses to {report.questions} questions is right ({report.wrong} are "
        f"wrong, {unknown}{report.unsplittable} cannot be split{example}); use a stronger teacher, more or longer "
        "responses, or another instruction; all are kept there in wrong.jsonl and unsplit.jsonl"
    )
