"""A plan of a distillation: what is sampled, pruned, trained and evaluated, checked before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from tokimp.chains.prompt_format import PROMPT_FORMATS
from tokimp.chains.units import UNITS
from tokimp.contracts.registry import load_estimator, load_task, load_trainer
from tokimp.contracts.train_settings import TrainSettings
from tokimp.distillation.plan.file import read_plan_file
from tokimp.distillation.plan.parts import Method, ModelSpec, QuestionSet
from tokimp.distillation.plan.reader import PlanReader
from tokimp.errors import PlanError, TokimpError

__all__ = ["Method", "ModelSpec", "Plan", "QuestionSet"]


@dataclass(frozen=True, slots=True)
class Plan:
    """Teacher x pruner x method x keep ratio x student x seed.

    Attributes
    ----------
    task
        What is asked: a name of ``tokimp.tasks``, with parameters if need be.
    questions, test
        What teachers are asked, and what students are evaluated on.
    teachers, students
        Models.
    pruners
        Models; none for each teacher pruning its own chains.
    methods, keep_ratios, seeds
        What is compared, at which shares of units kept, over which seeds of the training.
    unit, prompt_format
        What is deleted as a whole, and how chains are laid out for pruners.
    sample, evaluate
        Further arguments of `tokimp.distillation.ask.sample.sample` and `tokimp.distillation.ask.evaluate.evaluate`.
    train
        Settings of every training; its seed is that of the cell.
    trainer
        Trainer plugin.
    untrained, unpruned
        Whether students are also evaluated as they are, and trained on whole chains.
    keep_models
        Whether students stay on disk once they are evaluated.
    """

    task: str
    questions: QuestionSet
    test: QuestionSet
    teachers: tuple[ModelSpec, ...]
    students: tuple[ModelSpec, ...]
    methods: tuple[Method, ...]
    keep_ratios: tuple[float, ...]
    seeds: tuple[int, ...] = (0,)
    pruners: tuple[ModelSpec, ...] = ()
    unit: str = "token"
    prompt_format: str = "auto"
    sample: Mapping[str, Any] = field(default_factory=dict)
    train: TrainSettings = field(default_factory=TrainSettings)
    evaluate: Mapping[str, Any] = field(default_factory=dict)
    trainer: str = "trl"
    untrained: bool = True
    unpruned: bool = True
    keep_models: bool = True

    @classmethod
    def load(cls, path: str | Path) -> Plan:
        """Read a plan from a YAML file.

        Raises
        ------
        PlanError
            If it cannot be read, has an unknown key, lacks one, or has a value that is not allowed; the message names
            the file and the key, and says what is allowed.
        """
        return cls.of(read_plan_file(Path(path)), where=str(path))

    @classmethod
    def of(cls, values: Mapping[str, Any], where: str = "plan") -> Plan:
        """Make a plan of what a YAML file holds; errors as of `load`."""
        reader = PlanReader(where)
        given = reader.mapping(values, "", [each.name for each in fields(cls)])
        for key in ("task", "teachers", "students", "methods", "keep_ratios"):
            if key not in given:
                raise reader.error(key, "is missing; a plan needs task, teachers, students, methods and keep_ratios")
        made: dict[str, Any] = {
            "questions": reader.questions(given.get("questions"), "questions", "train"),
            "test": reader.questions(given.get("test"), "test", "test"),
            "teachers": reader.models(given["teachers"], "teachers"),
            "students": reader.models(given["students"], "students"),
            "pruners": reader.models(given["pruners"], "pruners") if given.get("pruners") else (),
            "methods": reader.methods(given["methods"]),
            "keep_ratios": reader.ratios(given["keep_ratios"]),
            "seeds": reader.seeds(given.get("seeds", [0])),
            "train": reader.train(given.get("train")),
        }
        for key in ("sample", "evaluate"):
            made[key] = reader.arguments(given.get(key), key)
        for key in ("untrained", "unpruned", "keep_models"):
            if key in given:
                made[key] = reader.truth(given[key], key)
        reader.one_format(made["train"], made["evaluate"])
        made["task"] = reader.checked(given["task"], "task", lambda name: load_task(name).validate_parameters())
        made["trainer"] = reader.checked(given.get("trainer", "trl"), "trainer", load_trainer)
        made["unit"] = reader.one_of(given.get("unit", "token"), "unit", UNITS)
        made["prompt_format"] = reader.one_of(given.get("prompt_format", "auto"), "prompt_format", PROMPT_FORMATS)
        return cls(**made)

    def check_methods(self) -> None:
        """Raise `PlanError` where a method's parameters are not allowed, or what it needs is not here.

        This is not done when a plan is read: what a plan takes can be said on a machine that has no weights.
        """
        for method in self.methods:
            try:
                load_estimator(method.estimator).validate_parameters()
            except TokimpError as error:
                raise PlanError(f"methods.{method.name}.estimator cannot be used: {error}") from error
        load_trainer(self.trainer).validate_parameters()

    def pruners_of(self, teacher: ModelSpec) -> tuple[ModelSpec, ...]:
        """Return who prunes a teacher's chains."""
        return self.pruners or (teacher,)
