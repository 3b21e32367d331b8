"""Whether the models of a plan can be loaded, asked before anything is sampled, pruned or trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tokimp.contracts.registry import load
from tokimp.distillation.plan.plan import ModelSpec, Plan
from tokimp.distillation.steps.cell_steps import CellStep
from tokimp.distillation.steps.chain_steps import Ranking, Sampling
from tokimp.distillation.steps.step import Say, Step
from tokimp.errors import PlanError, TokimpError
from tokimp.models.decoder import Decoder
from tokimp.models.loading import check_model, load_tokenizer
from tokimp.models.source import asks_the_hub


def check_models(plan: Plan, steps: Sequence[Step], say: Say) -> None:
    """Raise `PlanError` where a model that these steps load cannot be, as `tokimp.models.loading.check_model` tells.

    The message names every key of the plan at which these steps find the model. Weights are not read. Of what only vLLM
    loads nothing is asked, and of a pruner of another package's scorer, which may have models of its own, the tokenizer
    alone.

    Parameters
    ----------
    plan
        Of which the steps are.
    steps
        Those that are still to be done.
    say
        Told where a model is looked for on the hub, which may take a while.
    """
    keys: dict[_Question, list[str]] = {}
    for step in steps:
        for key, question in _questions(plan, step):
            named = keys.setdefault(question, [])
            if key not in named:
                named.append(key)
    for question, named in keys.items():
        where = " and ".join(named)
        try:
            if asks_the_hub(question.model):
                say(f"{where}: no folder or file {question.model!r} is here: looking for it on the hub")
            question.ask()
        except TokimpError as error:
            raise PlanError(f"{where} cannot be used: {error}") from error


@dataclass(frozen=True, slots=True)
class _Question:
    """Whether a model can be loaded, or its tokenizer alone; however many models of a plan are this one."""

    model: str
    trusted: bool
    tokenizer_alone: bool

    def ask(self) -> None:
        """Raise what loading it would."""
        check = load_tokenizer if self.tokenizer_alone else check_model
        check(self.model, **({"trust_remote_code": True} if self.trusted else {}))


def _questions(plan: Plan, step: Step) -> Iterator[tuple[str, _Question]]:
    """Yield where in the plan the model stands that a step loads, and what tells whether it can be."""
    if isinstance(step, Ranking):
        own = issubclass(load("scorers", step.pruner.backend), Decoder)
        # Without pruners, teachers prune.
        among = "pruners" if plan.pruners else "teachers"
        yield _key(plan, among, step.pruner), _question(step.pruner, tokenizer_alone=not own)
    elif isinstance(step, Sampling) and step.teacher.engine == "transformers":
        yield _key(plan, "teachers", step.teacher), _question(step.teacher)
    # A student is trained with transformers, whatever it writes with.
    elif isinstance(step, CellStep) and (step.cell.teacher or step.cell.student.engine == "transformers"):
        yield _key(plan, "students", step.cell.student), _question(step.cell.student)


def _question(spec: ModelSpec, *, tokenizer_alone: bool = False) -> _Question:
    return _Question(spec.model, spec.trust_remote_code, tokenizer_alone)


def _key(plan: Plan, among: str, spec: ModelSpec) -> str:
    """Return where a model stands in the plan, in one of its lists of models."""
    return f"{among}[{getattr(plan, among).index(spec)}].model"
