"""Whether the models of a plan can be loaded, asked before anything is sampled, pruned or trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from tokimp.decoder import Decoder
from tokimp.distillation.cell_steps import CellStep
from tokimp.distillation.chain_steps import Ranking, Sampling
from tokimp.distillation.plan import ModelSpec, Plan
from tokimp.distillation.plan_inputs import trust
from tokimp.distillation.step import Say, Step
from tokimp.errors import PlanError, TokimpError
from tokimp.model_loading import check_model, load_tokenizer
from tokimp.model_source import asks_the_hub
from tokimp.registry import load


def check_models(plan: Plan, steps: Sequence[Step], say: Say) -> None:
    """Raise `PlanError` where a model that these steps load cannot be, by its place, configuration and tokenizer.

    Weights are not read. Of what only vLLM loads nothing is asked, and of a pruner of another package's scorer, which
    may have models of its own, the tokenizer alone.

    Parameters
    ----------
    plan
        Of which the steps are.
    steps
        Those that are still to be done.
    say
        Told where a model is looked for on the hub, which may take a while.
    """
    for spec, check in dict.fromkeys(each for step in steps for each in _checks(step)):
        key = _key(plan, spec)
        try:
            if asks_the_hub(spec.model):
                say(f"{key}: no folder or file {spec.model!r} is here: looking for it on the hub")
            check(spec)
        except TokimpError as error:
            raise PlanError(f"{key} cannot be used: {error}") from error


def _checks(step: Step) -> Iterator[tuple[ModelSpec, Callable[[ModelSpec], None]]]:
    """Yield the model that a step loads, and what tells whether it can be."""
    if isinstance(step, Ranking):
        own = issubclass(load("scorers", step.pruner.backend), Decoder)
        yield step.pruner, _whole if own else _tokenizer
    elif isinstance(step, Sampling) and step.teacher.engine == "transformers":
        yield step.teacher, _whole
    # A student is trained with transformers, whatever it writes with.
    elif isinstance(step, CellStep) and (step.cell.teacher or step.cell.student.engine == "transformers"):
        yield step.cell.student, _whole


def _whole(spec: ModelSpec) -> None:
    check_model(spec.model, **trust(spec))


def _tokenizer(spec: ModelSpec) -> None:
    load_tokenizer(spec.model, **trust(spec))


def _key(plan: Plan, spec: ModelSpec) -> str:
    """Return where a model stands in the plan."""
    lists = {"students": plan.students, "teachers": plan.teachers, "pruners": plan.pruners}
    return next(f"{key}[{specs.index(spec)}].model" for key, specs in lists.items() if spec in specs)
