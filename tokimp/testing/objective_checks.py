"""Does an objective keep the contract? One check for every class that subclasses `Objective`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from tokimp.contracts.objective import LogprobTensors, Objective, Span
from tokimp.errors import ObjectiveError
from tokimp.testing.parameter_checks import built, check_parameters, expect
from tokimp.testing.toy_scorer import toy_chain

_VERSIONS = 5
_ANSWER_VALUE = (1, 2)
_LENGTHS = {Span.REASONING: 4, Span.ANSWER: 3, Span.WRONG_ANSWER: 2}


def check_objective(objective: Objective | type[Objective]) -> None:
    """Raise `AssertionError` if an objective breaks the contract of `Objective`.

    The rules:

    - ``__init__`` stores its parameters as given. Name, label, parameters and constraints are well formed.
    - `Objective.spans` is a frozenset of `Span`, and only those spans are read. In the others every number is NaN, and
      a wrong answer is ``None``.
    - It gives one finite float64 number a version, also if no reasoning token is left, and the same again.
    - Each version has a number of its own: other versions beside it, and their order, do not change it.
    - It is differentiable, and its gradient agrees with finite differences.
    - It changes neither itself nor the log-probabilities.
    - A chain without a wrong answer is refused with `ObjectiveError` if the objective reads one.

    Parameters
    ----------
    objective
        A class that needs no parameters, or an instance.

    Examples
    --------
    >>> class Weakest(Objective):
    ...     name = "weakest"
    ...     spans = frozenset({Span.ANSWER})
    ...
    ...     def __call__(self, logprobs):
    ...         return logprobs.answer.min(dim=-1).values.double()
    >>> check_objective(Weakest)
    """
    instance = built(objective, Objective, "check_objective")
    check_parameters(instance)
    spans: Any = instance.spans
    expect(
        isinstance(spans, frozenset) and bool(spans) and all(isinstance(span, Span) for span in spans),
        f"{instance.name}: spans must be a frozenset of one or more members of Span, not {spans!r}",
    )
    tensors = _random_logprobs()
    values = _check_values(instance, tensors)
    _check_versions(instance, tensors, values)
    _check_gradient(instance, tensors)
    if Span.REASONING in spans:
        _values(instance, {**tensors, Span.REASONING: torch.zeros(_VERSIONS, 0)}, "with no reasoning token left")
    _check_refusal(instance)


Tensors = dict[Span, torch.Tensor]


def _random_logprobs() -> Tensors:
    """Return random log-probabilities of each span, [version, token], float32, the same each time."""
    generator = torch.Generator().manual_seed(0)
    return {
        span: torch.rand(_VERSIONS, length, generator=generator).clamp(min=1e-3).log()
        for span, length in _LENGTHS.items()
    }


def _readable(objective: Objective, tensors: Tensors) -> LogprobTensors:
    """Return log-probabilities in which only the spans that an objective declares can be read."""
    shown = {
        span: tensor if span in objective.spans else torch.full_like(tensor, torch.nan)
        for span, tensor in tensors.items()
    }
    wrong_answer = shown[Span.WRONG_ANSWER] if Span.WRONG_ANSWER in objective.spans else None
    return LogprobTensors(shown[Span.REASONING], shown[Span.ANSWER], wrong_answer, _ANSWER_VALUE)


def _values(objective: Objective, tensors: Tensors, when: str) -> torch.Tensor:
    """Return the objective's numbers of some versions, checked for form, [version], float64."""
    declared = ", ".join(sorted(objective.spans))
    try:
        values = objective(_readable(objective, tensors))
    except Exception as error:
        raise AssertionError(
            f"{objective.name}: failed {when} with {type(error).__name__}: {error}; it is given only the spans it "
            f"declares ({declared})"
        ) from error
    versions = len(tensors[Span.ANSWER])
    expect(
        isinstance(values, torch.Tensor) and values.shape == (versions,),
        f"{objective.name}: must return one number a version, a tensor of shape ({versions},), {when}; it returned "
        f"{tuple(values.shape) if isinstance(values, torch.Tensor) else type(values).__name__}",
    )
    expect(
        values.dtype == torch.float64,
        f"{objective.name}: must return float64, not {values.dtype}; sums of float32 lose what one token changes",
    )
    expect(
        bool(values.isfinite().all()),
        f"{objective.name}: must return finite numbers {when}; if it reads a span that is not among those it declares "
        f"({declared}), it reads NaN there",
    )
    return values


def _check_values(objective: Objective, tensors: Tensors) -> torch.Tensor:
    copies = {span: tensor.clone() for span, tensor in tensors.items()}
    parameters = repr(sorted(vars(objective).items()))
    values = _values(objective, tensors, "on several versions")
    changed = [span for span, tensor in tensors.items() if not torch.equal(tensor, copies[span])]
    expect(not changed, f"{objective.name}: must leave the log-probabilities as they are, but changed {changed}")
    again = _values(objective, tensors, "when asked again")
    expect(torch.equal(values, again), f"{objective.name}: must give the same numbers when asked again")
    expect(repr(sorted(vars(objective).items())) == parameters, f"{objective.name}: must not change itself")
    return values


def _check_versions(objective: Objective, tensors: Tensors, values: torch.Tensor) -> None:
    """Check that each version has its own number, in any order and alone."""
    orders: Sequence[tuple[list[int], str]] = (
        (list(range(_VERSIONS))[::-1], "in reverse order"),
        *(([version], "alone") for version in range(_VERSIONS)),
    )
    for order, when in orders:
        chosen = _values(objective, {span: tensor[order] for span, tensor in tensors.items()}, f"on versions {when}")
        expect(
            torch.allclose(chosen, values[order], rtol=1e-9, atol=1e-12),
            f"{objective.name}: each version must have a number of its own, but versions {when} get "
            f"{chosen.tolist()} instead of {values[order].tolist()}",
        )


def _check_gradient(objective: Objective, tensors: Tensors) -> None:
    """Check the gradient by finite differences, with respect to every span that is read."""
    spans = sorted(objective.spans)
    inputs = tuple(tensors[span].double().requires_grad_() for span in spans)

    def of_inputs(*values: torch.Tensor) -> torch.Tensor:
        return objective(_readable(objective, {**tensors, **dict(zip(spans, values, strict=True))}))

    # An objective that leaves torch in between, or detaches, has a gradient of its own idea or none.
    expect(
        of_inputs(*inputs).requires_grad and torch.autograd.gradcheck(of_inputs, inputs, raise_exception=False),
        f"{objective.name}: must be differentiable, with a gradient that agrees with finite differences; use torch's "
        "operations throughout",
    )


def _check_refusal(objective: Objective) -> None:
    if Span.WRONG_ANSWER not in objective.spans:
        return
    try:
        objective.check(toy_chain("ab"))
    except ObjectiveError:
        return
    raise AssertionError(f"{objective.name}: check must refuse a chain without a wrong answer with ObjectiveError")
