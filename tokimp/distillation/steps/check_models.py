"""Check that the models of a plan can be loaded, before anything is sampled, pruned or trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tokimp.contracts.registry import load
from tokimp.distillation.plan.models import ModelSpec
from tokimp.distillation.plan.plan import Plan
from tokimp.distillation.steps.cell_steps import CellStep
from tokimp.distillation.steps.chain_steps import Ranking, Sampling
from tokimp.distillation.steps.step import Say, Step
from tokimp.errors import PlanError, TokimpError
from tokimp.models.causal_lm import CausalLMScorer
from tokimp.models.configuration import check_loadable, load_tokenizer
from tokimp.models.source import asks_the_hub


def check_models(plan: Plan, steps: Sequence[Step], say: Say) -> None:
    """Raise `PlanError` where a model that these steps load cannot be loaded, as far as that shows without its weights.

    The message names every place in the plan where the model stands; it is `check_loadable` of
    `tokimp.models.configuration` that checks it. Models that only vLLM loads are not checked. A pruner that another
    package's scorer loads may be no model of transformers: there only the tokenizer is checked.

    Parameters
    ----------
    plan
        The plan.
    steps
        Those of its steps that are still to be done.
    say
        Called with a line where a model is looked for on the hub, which may take a while.
    """
    places: dict[_Check, list[str]] = {}
    for step in steps:
        for place, check in _checks(plan, step):
            named = places.setdefault(check, [])
            if place not in named:
                named.append(place)
    for check, named in places.items():
        where = " and ".join(named)
        try:
            if asks_the_hub(check.model):
                say(f"{where}: no folder or file {check.model!r} is here: looking for it on the hub")
            check.run()
        except TokimpError as error:
            raise PlanError(f"{where} cannot be used: {error}") from error


@dataclass(frozen=True, slots=True)
class _Check:
    """The check of one model, which may stand in several places of a plan.

    Attributes
    ----------
    model
        What is loaded.
    trusted
        Whether its repository may run its own code.
    tokenizer_alone
        Whether only the tokenizer is checked.
    """

    model: str
    trusted: bool
    tokenizer_alone: bool

    def run(self) -> None:
        """Raise the error that loading it would raise."""
        check = load_tokenizer if self.tokenizer_alone else check_loadable
        check(self.model, **({"trust_remote_code": True} if self.trusted else {}))


def _checks(plan: Plan, step: Step) -> Iterator[tuple[str, _Check]]:
    """Yield the place in the plan of the model that a step loads, and its check."""
    if isinstance(step, Ranking):
        is_own_scorer = issubclass(load("scorers", step.pruner.backend), CausalLMScorer)
        # Without pruners, teachers prune.
        models = "pruners" if plan.pruners else "teachers"
        yield _place(plan, models, step.pruner), _check(step.pruner, tokenizer_alone=not is_own_scorer)
    elif isinstance(step, Sampling) and step.teacher.engine == "transformers":
        yield _place(plan, "teachers", step.teacher), _check(step.teacher)
    # A student is trained with transformers, whichever engine it writes with.
    elif isinstance(step, CellStep) and (step.cell.teacher or step.cell.student.engine == "transformers"):
        yield _place(plan, "students", step.cell.student), _check(step.cell.student)


def _check(spec: ModelSpec, *, tokenizer_alone: bool = False) -> _Check:
    return _Check(spec.model, spec.trust_remote_code, tokenizer_alone)


def _place(plan: Plan, models: str, spec: ModelSpec) -> str:
    """Return where a model stands in one of the plan's lists of models."""
    return f"{models}[{getattr(plan, models).index(spec)}].model"
