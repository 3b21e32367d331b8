"""The cells of a plan as steps: a training, if the cell has one, an evaluation, and the outcome written down."""

from __future__ import annotations

import json
import shlex
import shutil
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tokimp.contracts.registry import load_task
from tokimp.distillation.ask.evaluate import Evaluation, evaluate
from tokimp.distillation.plan.grid import Cell, cells
from tokimp.distillation.plan.inputs import load_writer, model_identity, questions_digest, task_questions
from tokimp.distillation.plan.plan import Plan
from tokimp.distillation.steps.chain_steps import Ranking, Sampling
from tokimp.distillation.steps.step import PLAN, Say, Step
from tokimp.distillation.train.train import TrainReport, train
from tokimp.errors import DistillationError
from tokimp.storage.atomic import write_object

OUTCOME = "cell.json"
_TOLD = ("cell", "kind", "student", "teacher", "pruner", "method", "keep_ratio", "seed", "pruning", "training")


@dataclass(frozen=True)
class CellStep(Step):
    """One cell: a training, if it has one, and an evaluation."""

    cell: Cell

    @property
    def name(self) -> str:
        """``train/`` and the cell's own name."""
        return f"train/{self.cell.name}"

    @property
    def source(self) -> Sampling | Ranking | None:
        """The step that makes its chains."""
        cell = self.cell
        if cell.teacher is None:
            return None
        if cell.pruner is None or cell.method is None:
            return Sampling(self.plan, self.out, cell.teacher)
        return Ranking(self.plan, self.out, cell.teacher, cell.pruner, cell.method)

    @property
    def needs(self) -> tuple[Step, ...]:
        """What makes its chains."""
        source = self.source
        return () if source is None else (source,)

    @property
    def chains_read(self) -> Path | None:
        """The chains it is trained on."""
        source = self.source
        if isinstance(source, Ranking):
            return source.chains(self.cell.keep_ratio or 0.0)
        return None if source is None else source.chains

    @property
    def settings(self) -> dict[str, Any] | None:
        """The settings of its training."""
        if self.cell.seed is None:
            return None
        return replace(self.plan.train, seed=self.cell.seed).described()

    def own_identity(self) -> dict[str, Any]:
        """Student, training and test."""
        return {
            "student": model_identity(self.cell.student),
            "train": self.settings,
            "trainer": None if self.cell.teacher is None else self.plan.trainer,
            "task": self.plan.task,
            "test": questions_digest(self.plan.task, self.plan.test),
            "evaluate": dict(self.plan.evaluate),
        }

    def made(self) -> bool:
        """Whether its outcome is written."""
        return (self.folder / OUTCOME).is_file()

    def outcome(self) -> dict[str, Any]:
        """Return what ``cell.json`` holds.

        Raises
        ------
        DistillationError
            If it is damaged.
        """
        path = self.folder / OUTCOME
        try:
            found = dict(json.loads(path.read_text(encoding="utf-8")))
            evaluation, seconds = dict(found["evaluation"]), dict(found["seconds"])
            missing = [name for name in _TOLD if name not in found]
            missing += [name for name in ("accuracy", "n") if name not in evaluation]
            missing += [name for name in ("train", "evaluate") if name not in seconds]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise self._damaged(f"{type(error).__name__}: {error}") from error
        if missing:
            raise self._damaged(f"it lacks {missing[0]!r}")
        return found

    def _damaged(self, why: str) -> DistillationError:
        return DistillationError(
            f"{self.folder / OUTCOME} is damaged ({why}); delete the folder {self.folder}, and the cell is done again"
        )

    def evaluation(self) -> Evaluation:
        """Return its evaluation."""
        return Evaluation.load(self.folder / "test")

    def work(self, say: Say) -> None:
        """Train, evaluate, and write down the outcome."""
        began = time.perf_counter()
        model, training = self.cell.student.model, None
        if self.chains_read is not None:
            trained = self.folder / "training"
            training = train(
                model,
                self.chains_read,
                trained,
                replace(self.plan.train, seed=self.cell.seed or 0),
                trainer=self.plan.trainer,
                trust_remote_code=self.cell.student.trust_remote_code,
            )
            model = str(trained / "model")
        middle = time.perf_counter()
        evaluation = evaluate(
            load_writer(self.cell.student, model),
            load_task(self.plan.task),
            list(task_questions(self.plan.task, self.plan.test)),
            self.folder / "test",
            **self.plan.evaluate,
        )
        seconds = {"train": round(middle - began, 3), "evaluate": round(time.perf_counter() - middle, 3)}
        write_object(self.folder / OUTCOME, self._outcome(training, evaluation, seconds))
        if not self.plan.keep_models:
            shutil.rmtree(self.folder / "training" / "model", ignore_errors=True)
        say(f"{self.name}: {evaluation.accuracy:.1%} of {evaluation.n} right ({sum(seconds.values()):.0f} s)")

    def _again(self) -> str | None:
        """Return the command that does it again; ``None`` for a plan made in Python, of which there is no file."""
        file = self.out / PLAN
        if not file.is_file():
            return None
        words = ["tokimp", "distill", str(file), "--out", str(self.out), "--cell", self.cell.name, "--redo"]
        return shlex.join(words)

    def _outcome(
        self, training: TrainReport | None, evaluation: Evaluation, seconds: dict[str, float]
    ) -> dict[str, Any]:
        """Return all that is known of the cell, and how to do it again."""
        cell, source = self.cell, self.source
        pruning = source.prunings().get(cell.keep_ratio or 0.0) if isinstance(source, Ranking) else None
        method = None if cell.method is None else asdict(cell.method)
        return {
            "cell": cell.name,
            "kind": cell.kind,
            "student": asdict(cell.student),
            "teacher": None if cell.teacher is None else asdict(cell.teacher),
            "pruner": None if cell.pruner is None else asdict(cell.pruner),
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
                "reasoning_tokens": evaluation.reasoning_tokens,
            },
            "seconds": seconds,
            "again": self._again(),
        }


def steps(plan: Plan, out: Path, only: str | None = None) -> list[Step]:
    """Return the steps of a plan, those that others need first; with `only`, those of one cell."""
    found: dict[str, Step] = {}

    def add(step: Step) -> None:
        for needed in step.needs:
            add(needed)
        found.setdefault(step.name, step)

    for cell in cells(plan):
        if only is None or cell.name == only:
            add(CellStep(plan, out, cell))
    return sorted(found.values(), key=lambda step: (isinstance(step, CellStep), isinstance(step, Ranking)))


def _training(report: TrainReport) -> dict[str, Any]:
    names = ("chains", "held_out", "steps", "tokens", "trained_tokens", "loss_tokens", "seconds", "versions")
    told = {name: getattr(report, name) for name in names}
    return {**told, "left_out": len(report.left_out), "loss": report.final_loss, "student": report.student_fingerprint}
