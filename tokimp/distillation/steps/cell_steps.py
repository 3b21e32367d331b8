"""The cells of a plan as steps: a training, if the cell has one, an evaluation, and the file of the outcome."""

from __future__ import annotations

import shlex
import shutil
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tokimp.contracts.executor import Executor
from tokimp.contracts.registry import load_task
from tokimp.distillation.ask.evaluate import Evaluation, evaluate
from tokimp.distillation.plan.grid import StudentCell, cells
from tokimp.distillation.plan.inputs import load_writer, questions_digest, spec_identity, task_questions
from tokimp.distillation.plan.plan import Plan
from tokimp.distillation.steps.chain_steps import Ranking, Sampling
from tokimp.distillation.steps.step import PLAN, Say, Step
from tokimp.distillation.train.train import TrainReport, train
from tokimp.errors import DistillationError
from tokimp.storage.atomic import write_object
from tokimp.storage.json_file import read_object

OUTCOME = "cell.json"
_FIELDS = ("cell", "kind", "student", "teacher", "pruner", "method", "keep_ratio", "seed", "pruning", "training")


@dataclass(frozen=True)
class CellStep(Step):
    """The step in which one student is trained, if its cell has a training, and evaluated."""

    cell: StudentCell

    @property
    def name(self) -> str:
        """``train/`` and the name of the cell."""
        return f"train/{self.cell.name}"

    @property
    def source(self) -> Sampling | Ranking | None:
        """The step that makes the chains the student is trained on; ``None`` for a student as it is."""
        cell = self.cell
        if cell.teacher is None:
            return None
        if cell.pruner is None or cell.method is None:
            return Sampling(self.plan, self.out, cell.teacher)
        return Ranking(self.plan, self.out, cell.teacher, cell.pruner, cell.method)

    @property
    def needs(self) -> tuple[Step, ...]:
        """The step that makes the chains, if any."""
        source = self.source
        return () if source is None else (source,)

    @property
    def is_piece(self) -> bool:
        """One worker trains a student and evaluates it, and writes the weights where the folder is."""
        return True

    @property
    def device(self) -> str:
        """The device of the student."""
        return self.cell.student.device

    @property
    def weight(self) -> float:
        """Longer chains take longer to learn from, and a student that is not trained takes little."""
        return 0.1 if self.cell.teacher is None else self.cell.keep_ratio or 1.0

    @property
    def chains_read(self) -> Path | None:
        """The file of chains the student is trained on."""
        source = self.source
        if isinstance(source, Ranking):
            return source.chains(self.cell.keep_ratio or 0.0)
        return None if source is None else source.chains

    @property
    def settings(self) -> dict[str, Any] | None:
        """The settings of the training, if the cell has one."""
        if self.cell.seed is None:
            return None
        return replace(self.plan.train, seed=self.cell.seed).described()

    def own_identity(self) -> dict[str, Any]:
        """Return student, training and test."""
        return {
            "student": spec_identity(self.cell.student),
            "train": self.settings,
            "trainer": None if self.cell.teacher is None else self.plan.trainer,
            "task": self.plan.task,
            "test": questions_digest(self.plan.task, self.plan.test),
            "evaluate": dict(self.plan.evaluate),
        }

    def made(self) -> bool:
        """Return whether the outcome is written."""
        return (self.folder / OUTCOME).is_file()

    def outcome(self) -> dict[str, Any]:
        """Return the content of ``cell.json``.

        Raises
        ------
        DistillationError
            If it is damaged.
        """
        path = self.folder / OUTCOME
        try:
            outcome = read_object(path)
            evaluation, seconds = dict(outcome["evaluation"]), dict(outcome["seconds"])
            missing = [name for name in _FIELDS if name not in outcome]
            missing += [name for name in ("accuracy", "n") if name not in evaluation]
            missing += [name for name in ("train", "evaluate") if name not in seconds]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise self._damaged(f"{type(error).__name__}: {error}") from error
        if missing:
            raise self._damaged(f"it lacks {missing[0]!r}")
        return outcome

    def _damaged(self, why: str) -> DistillationError:
        return DistillationError(
            f"{self.folder / OUTCOME} is damaged ({why}); delete the folder {self.folder}, and the cell is done again"
        )

    def evaluation(self) -> Evaluation:
        """Return the evaluation of the student."""
        return Evaluation.load(self.folder / "test")

    def work(self, say: Say, executor: Executor) -> None:
        """Train, evaluate, and write the outcome."""
        start = time.perf_counter()
        model, training = self.cell.student.model, None
        if self.chains_read is not None:
            folder = self.folder / "training"
            training = train(
                model,
                self.chains_read,
                folder,
                replace(self.plan.train, seed=self.cell.seed or 0),
                trainer=self.plan.trainer,
                trust_remote_code=self.cell.student.trust_remote_code,
            )
            model = str(folder / "model")
        trained_at = time.perf_counter()
        evaluation = evaluate(
            load_writer(self.cell.student, model),
            load_task(self.plan.task),
            list(task_questions(self.plan.task, self.plan.test)),
            self.folder / "test",
            executor=executor,
            **self.plan.evaluate,
        )
        seconds = {"train": round(trained_at - start, 3), "evaluate": round(time.perf_counter() - trained_at, 3)}
        write_object(self.folder / OUTCOME, self._outcome(training, evaluation, seconds))
        if not self.plan.keep_models:
            shutil.rmtree(self.folder / "training" / "model", ignore_errors=True)
        say(f"{self.name}: {evaluation.accuracy:.1%} of {evaluation.n} right ({sum(seconds.values()):.0f} s)")

    def _command(self) -> str | None:
        """Return the command that does this cell again; ``None`` for a plan made in Python, which has no file."""
        file = self.out / PLAN
        if not file.is_file():
            return None
        words = ["tokimp", "distill", str(file), "--out", str(self.out), "--cell", self.cell.name, "--redo"]
        return shlex.join(words)

    def _outcome(
        self, training: TrainReport | None, evaluation: Evaluation, seconds: dict[str, float]
    ) -> dict[str, Any]:
        """Return the content of ``cell.json``: what the cell is, its numbers, and the command that does it again."""
        cell, source = self.cell, self.source
        pruning = source.prunings().get(cell.keep_ratio or 0.0) if isinstance(source, Ranking) else None
        method = None if cell.method is None else asdict(cell.method)
        return {
            "cell": cell.name,
            "kind": cell.kind,
            "student": cell.student.described(),
            "teacher": None if cell.teacher is None else cell.teacher.described(),
            "pruner": None if cell.pruner is None else cell.pruner.described(),
            "method": method,
            "keep_ratio": cell.keep_ratio,
            "seed": cell.seed,
            "chains": None if self.chains_read is None else str(self.chains_read.relative_to(self.out)),
            "pruning": pruning,
            "training": None if training is None else _training(training),
            "evaluation": {
                "accuracy": evaluation.accuracy,
                "low": evaluation.low,
                "high": evaluation.high,
                "n": evaluation.n,
                "unparsed": evaluation.unparsed,
                "not_known": evaluation.not_known,
                "reasoning_tokens": evaluation.reasoning_tokens,
            },
            "seconds": seconds,
            "again": self._command(),
        }


def steps(plan: Plan, out: Path, only: str | None = None) -> list[Step]:
    """Return the steps of a plan: first sampling, then rankings, then cells.

    Parameters
    ----------
    plan, out
        The plan and its folder.
    only
        The name of a cell: return only its step, which comes last, and the steps that it needs.
    """
    by_name: dict[str, Step] = {}

    def add(step: Step) -> None:
        for needed in step.needs:
            add(needed)
        by_name.setdefault(step.name, step)

    for cell in cells(plan):
        if only is None or cell.name == only:
            add(CellStep(plan, out, cell))
    return sorted(by_name.values(), key=lambda step: (isinstance(step, CellStep), isinstance(step, Ranking)))


def _training(report: TrainReport) -> dict[str, Any]:
    names = ("chains", "held_out", "steps", "tokens", "trained_tokens", "loss_tokens", "seconds", "versions")
    numbers = {name: getattr(report, name) for name in names}
    return {
        **numbers,
        "left_out": len(report.left_out),
        "loss": report.final_loss,
        "student": report.student_fingerprint,
    }
