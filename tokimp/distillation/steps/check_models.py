"""Check that the models of a plan can be loaded, before anything is sampled, pruned or trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tokimp.contracts.registry import load
from tokimp.distillation.plan.models import ModelSpec
from tokimp.distillation.plan.plan import Plan
from tokimp.distillation.steps.cell_steps import CellStep
from tokimp.distillation.steps.chain_steps import Ranking, Sampling
from tokimp.distillation.steps.step import Say, Step
from tokimp.distillation.train.trainable import check_trainable
from tokimp.errors import PlanError, TokimpError
from tokimp.models.causal_lm import CausalLMScorer
from tokimp.models.configuration import check_loadable, load_tokenizer
from tokimp.models.quantization import read_quantization
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
            if check.check is not read_quantization and asks_the_hub(check.written):
                say(f"{where}: no folder or file {check.written!r} is here: looking for it on the hub")
            check.run()
        except TokimpError as error:
            raise PlanError(f"{where} cannot be used: {error}") from error


@dataclass(frozen=True, slots=True)
class _Check:
    """The check of what stands in a plan, maybe in several places.

    Attributes
    ----------
    written
        A model, or how one is to be quantised.
    check
        Raises the error that loading it, or training it, would raise.
    trusted
        Whether the model's repository may run its own code.
    """

    written: str
    check: Callable[..., object]
    trusted: bool = False

    def run(self) -> None:
        """Raise the error, if there is one."""
        self.check(self.written, **({"trust_remote_code": True} if self.trusted else {}))


def _checks(plan: Plan, step: Step) -> Iterator[tuple[str, _Check]]:
    """Yield the place in the plan of what a step loads, and its check."""
    if isinstance(step, Ranking):
        is_own_scorer = issubclass(load("scorers", step.pruner.backend), CausalLMScorer)
        # Without pruners, teachers prune.
        models = "pruners" if plan.pruners else "teachers"
        yield from _of_model(plan, models, step.pruner, check_loadable if is_own_scorer else load_tokenizer)
    elif isinstance(step, Sampling) and step.teacher.engine == "transformers":
        yield from _of_model(plan, "teachers", step.teacher, check_loadable)
    # A student is trained with transformers, whichever engine it writes with.
    elif isinstance(step, CellStep) and (step.cell.teacher or step.cell.student.engine == "transformers"):
        yield from _of_model(plan, "students", step.cell.student, check_loadable)
        if step.cell.teacher is not None:
            yield from _of_model(plan, "students", step.cell.student, check_trainable)


def _of_model(plan: Plan, models: str, spec: ModelSpec, check: Callable[..., object]) -> Iterator[tuple[str, _Check]]:
    place = f"{models}[{getattr(plan, models).index(spec)}]"
    yield f"{place}.model", _Check(spec.model, check, spec.trust_remote_code)
    if check is check_loadable and spec.quantization is not None:
        yield f"{place}.quantization", _Check(spec.quantization, read_quantization)
