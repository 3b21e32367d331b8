"""The grid of a plan: every training and its evaluation, and the references they are read beside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tokimp.distillation.plan.models import ModelSpec
from tokimp.distillation.plan.plan import Method, Plan


@dataclass(frozen=True, slots=True)
class StudentCell:
    """One student, evaluated: as it is, trained on whole chains, or trained on chains shortened by a method.

    Attributes
    ----------
    student
        The student.
    teacher, seed
        The model whose chains it is trained on, and the training's seed; ``None`` for the student as it is.
    pruner, method, keep_ratio
        The model and the method that shortened the chains, and how far; ``None`` for whole chains.
    """

    student: ModelSpec
    teacher: ModelSpec | None = None
    seed: int | None = None
    pruner: ModelSpec | None = None
    method: Method | None = None
    keep_ratio: float | None = None

    @property
    def name(self) -> str:
        """What it is called, and its folder under ``train``."""
        parts = [self.student.name]
        if self.teacher is None:
            return "/".join([*parts, "untrained"])
        parts.append(self.teacher.name)
        if self.pruner is None or self.method is None:
            parts.append("unpruned")
        else:
            parts += [self.pruner.name, self.method.name, f"{self.keep_ratio:g}"]
        return "/".join([*parts, f"seed-{self.seed}"])

    @property
    def kind(self) -> str:
        """``untrained``, ``unpruned`` or ``pruned``."""
        if self.teacher is None:
            return "untrained"
        return "unpruned" if self.method is None else "pruned"


def cells(plan: Plan) -> Iterator[StudentCell]:
    """Yield every cell of a plan: untrained students, then seed by seed, so that even an unfinished run has curves."""
    for student in plan.students:
        if plan.untrained:
            yield StudentCell(student)
    for seed in plan.seeds:
        for student in plan.students:
            for teacher in plan.teachers:
                if plan.unpruned:
                    yield StudentCell(student, teacher, seed)
                for pruner in plan.pruners_of(teacher):
                    for ratio in plan.keep_ratios:
                        for method in plan.methods:
                            yield StudentCell(student, teacher, seed, pruner, method, ratio)
