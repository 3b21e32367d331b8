"""A plan of a distillation: what is sampled, pruned, trained and evaluated, checked before anything runs."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import field
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter, ValidationError, model_validator, with_config
from pydantic.dataclasses import dataclass
from typing_extensions import TypedDict

from tokimp.chains.prompt_format import PromptFormat
from tokimp.contracts.checked_fields import KNOWN_FIELDS_ONLY, Allowed, mistake_in, raises
from tokimp.contracts.constraints import Number, Optional, Text, WholeNumber
from tokimp.contracts.registry import load_estimator, load_objective, load_task, load_trainer, load_unit
from tokimp.contracts.train_settings import Count, CountOrNone, Seed, TagsOrNone, TrainSettings, Truth
from tokimp.distillation.ask.sample import sample as sample_chains
from tokimp.distillation.plan.models import PLACEMENT, ModelSpec, NameOfAFolder, folder_name, usable
from tokimp.distillation.plan.reader import read_plan_file
from tokimp.errors import PlanError, TokimpError

_RESPONSES = int(inspect.signature(sample_chains).parameters["n"].default)

_PLACED_BY_TRAINING = (
    "students are trained, and the training library places them: gradients and the optimiser's numbers lie beside the "
    "weights, and no weights can be fetched for one call"
)
_NOT_OF_STUDENTS = {
    "device_map": _PLACED_BY_TRAINING,
    "offload_folder": _PLACED_BY_TRAINING,
    "quantization": "students are trained, and quantised weights cannot take the small steps of an optimiser "
    "(train.lora and train.dtype save memory in a training)",
}

Whole = Annotated[int, Allowed(WholeNumber(0))]
Named = TypeVar("Named", "Method", ModelSpec)


def _load_valid_task(name: str) -> None:
    load_task(name).validate_parameters()


def _with_split(split: str) -> BeforeValidator:
    """Return what completes a mapping by the split that is meant where none is named."""

    def complete(questions: Any) -> Any:
        if questions is None:
            return {"split": split}
        return {"split": split, **questions} if isinstance(questions, Mapping) else questions

    return BeforeValidator(complete)


def _named_methods(methods: Any) -> Any:
    """Read methods that stand under their names; a list of methods stays as it is."""
    if not isinstance(methods, Mapping):
        return methods
    entries: dict[str, Any] = {}
    for name, entry in methods.items():
        entry_keys = {"estimator": entry} if isinstance(entry, str) else entry
        entries[str(name)] = {"name": str(name), **entry_keys} if isinstance(entry_keys, Mapping) else entry_keys
    # Validated here, so that a mistake is told with the method's name instead of a number.
    return tuple(TypeAdapter(dict[str, Method]).validate_python(entries).values())


def _with_different_names(entries: tuple[Named, ...]) -> tuple[Named, ...]:
    names = [entry.name for entry in entries]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"two entries are called {twice!r}; give each a name of its own")
    return entries


def _highest_first(ratios: tuple[float, ...]) -> tuple[float, ...]:
    ordered = tuple(sorted({float(ratio) for ratio in ratios}, reverse=True))
    for higher, lower in pairwise(ordered):
        if f"{higher:g}" == f"{lower:g}":
            raise ValueError(
                f"{higher!r} and {lower!r} would share the folder {lower:g}; give ratios that differ in their first "
                "six digits"
            )
    return ordered


def _in_order(seeds: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(set(seeds)))


def _no_more_a_round_than_in_all(arguments: SampleArguments) -> SampleArguments:
    per_round, n = arguments.get("per_round"), arguments.get("n", _RESPONSES)
    if per_round is not None and per_round > n:
        raise ValueError(f"per_round is {per_round}; give no more than n={n}")
    return arguments


def _without_seed(settings: Any) -> Any:
    if isinstance(settings, Mapping) and "seed" in settings:
        raise ValueError("seed is not a key of a plan's trainings; the list 'seeds' says their seeds")
    return settings


def _merged(settings: TrainSettings) -> TrainSettings:
    if settings.lora is not None and not settings.lora.merge:
        raise ValueError("lora.merge is false, but students are evaluated with their adapters merged; leave it out")
    return settings


_empty_if_null = BeforeValidator(lambda value: {} if value is None else value)
_none_if_null = BeforeValidator(lambda value: value or ())


@raises(PlanError)
@dataclass(frozen=True, slots=True, config=KNOWN_FIELDS_ONLY)
class Method:
    """A way of pruning: an estimator, as it is named on the command line, and what it is to preserve."""

    name: Annotated[str, Allowed(NameOfAFolder())]
    estimator: Annotated[str, Allowed(Text("the name of an estimator")), usable(load_estimator)]
    objective: Annotated[str, Allowed(Text("the name of an objective")), usable(load_objective)] = "joint"

    @model_validator(mode="before")
    @classmethod
    def _name_it(cls, values: Any) -> Any:
        """Read a text as an estimator, and name a method that has no name after what it is made of."""
        if isinstance(values, str):
            values = {"estimator": values}
        if isinstance(values, Mapping) and "name" not in values and "estimator" in values:
            parts = [values["estimator"], values.get("objective", "joint")]
            name = folder_name("-".join(map(str, parts[:1] if parts[1] == "joint" else parts)))
            return {"name": name, **values}
        return values


@raises(PlanError)
@dataclass(frozen=True, slots=True, config=KNOWN_FIELDS_ONLY)
class QuestionSet:
    """Which questions of the task: the arguments of `tokimp.contracts.task.Task.questions`."""

    split: Annotated[str, Allowed(Text("the name of a split"))]
    source: Annotated[str | None, Allowed(Optional(Text("a file or the name of a data set")))] = None
    limit: CountOrNone = None
    seed: Whole = 0


@with_config(KNOWN_FIELDS_ONLY)
class SampleArguments(TypedDict, total=False):
    """The arguments of `tokimp.distillation.ask.sample.sample` that a plan may give."""

    n: Count
    temperature: Annotated[float, Allowed(Number(0))]
    seed: Whole
    per_round: CountOrNone
    max_new_tokens: CountOrNone
    min_characters: Whole
    longest_percentile: Annotated[float, Allowed(Number(above=0, most=100))]
    prompt_format: PromptFormat
    think_tags: TagsOrNone
    batch_questions: Count


@with_config(KNOWN_FIELDS_ONLY)
class EvaluateArguments(TypedDict, total=False):
    """The arguments of `tokimp.distillation.ask.evaluate.evaluate` that a plan may give."""

    prompt_format: PromptFormat
    think_tags: TagsOrNone
    max_new_tokens: CountOrNone
    confidence: Annotated[float, Allowed(Number(above=0, below=1))]
    batch_questions: Count


Models = Annotated[tuple[ModelSpec, ...], Field(min_length=1), AfterValidator(_with_different_names)]
Ratio = Annotated[float, Allowed(Number(above=0, below=1), hint=" (unpruned: true is ratio 1)")]


@raises(PlanError)
@dataclass(frozen=True, slots=True, config=KNOWN_FIELDS_ONLY)
class Plan:
    """Teacher x pruner x method x keep ratio x student x seed.

    Attributes
    ----------
    task
        What is asked: a name of ``tokimp.tasks``, with parameters if need be.
    questions, test
        The questions that teachers are asked, and those that students are evaluated on.
    teachers, students
        Models.
    methods, keep_ratios, seeds
        What is compared, at which shares of units kept, over which seeds of the training.
    pruners
        Models; if there are none, each teacher prunes its own chains.
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

    task: Annotated[str, Allowed(Text("the name of a task")), usable(_load_valid_task)]
    teachers: Models
    students: Models
    methods: Annotated[
        tuple[Method, ...], Field(min_length=1), BeforeValidator(_named_methods), AfterValidator(_with_different_names)
    ]
    keep_ratios: Annotated[tuple[Ratio, ...], Field(min_length=1), AfterValidator(_highest_first)]
    questions: Annotated[QuestionSet, _with_split("train")] = QuestionSet("train")
    test: Annotated[QuestionSet, _with_split("test")] = QuestionSet("test")
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1), AfterValidator(_in_order)] = (0,)
    pruners: Annotated[tuple[ModelSpec, ...], _none_if_null, AfterValidator(_with_different_names)] = ()
    unit: Annotated[str, Allowed(Text("the name of a unit")), usable(load_unit)] = "token"
    prompt_format: PromptFormat = "auto"
    sample: Annotated[SampleArguments, _empty_if_null, AfterValidator(_no_more_a_round_than_in_all)] = field(
        default_factory=SampleArguments
    )
    train: Annotated[TrainSettings, _empty_if_null, BeforeValidator(_without_seed), AfterValidator(_merged)] = (
        TrainSettings()
    )
    evaluate: Annotated[EvaluateArguments, _empty_if_null] = field(default_factory=EvaluateArguments)
    trainer: Annotated[str, Allowed(Text("the name of a trainer")), usable(load_trainer)] = "trl"
    untrained: Truth = True
    unpruned: Truth = True
    keep_models: Truth = True

    @model_validator(mode="after")
    def _refuse_two_formats(self) -> Self:
        """Refuse a plan in which students are asked in another form than they are trained in."""
        for name, default in (("prompt_format", "auto"), ("think_tags", None)):
            asked, trained = self.evaluate.get(name, default), getattr(self.train, name)
            if asked != trained:
                raise ValueError(
                    f"evaluate.{name} is {asked!r} and train.{name} {trained!r}: students would be asked in another "
                    "form than they were trained in; give both the same"
                )
        return self

    @model_validator(mode="after")
    def _refuse_students_that_cannot_be_trained(self) -> Self:
        """Refuse students that are quantised or spread over devices: they are trained."""
        for number, student in enumerate(self.students):
            for key in PLACEMENT:
                if getattr(student, key) is not None:
                    raise ValueError(f"students[{number}].{key}: {_NOT_OF_STUDENTS[key]}; leave it out")
        return self

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
    def of(cls, values: Any, where: str = "plan") -> Plan:
        """Make a plan of what a YAML file holds; errors are those of `load`.

        Parameters
        ----------
        values
            What the file holds: a mapping, if it is a plan.
        where
            Where it stands, for messages.
        """
        try:
            return TypeAdapter(Plan).validate_python(values)
        except ValidationError as mistakes:
            raise PlanError(f"{where}: {mistake_in(mistakes, cls)}") from mistakes

    def check_methods(self) -> None:
        """Raise `PlanError` where a method's parameters are not allowed, or what it needs is not here.

        This is not done when a plan is read, so that a machine without the weights can say what the plan takes.
        """
        for method in self.methods:
            try:
                load_estimator(method.estimator).validate_parameters()
            except TokimpError as error:
                raise PlanError(f"methods.{method.name}.estimator cannot be used: {error}") from error
        load_trainer(self.trainer).validate_parameters()

    def pruners_of(self, teacher: ModelSpec) -> tuple[ModelSpec, ...]:
        """Return the models that prune a teacher's chains."""
        return self.pruners or (teacher,)
