"""check_objective passes every built-in objective, and names the rule that a wrong one breaks."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tokimp.contracts.constraints import Number
from tokimp.contracts.objective import LogprobTensors, Objective, Span
from tokimp.contracts.registry import load_objective, plugins
from tokimp.testing import check_objective

BUILT_IN = sorted(plugin.name for plugin in plugins("objectives") if plugin.package == "tokimp")


class Good(Objective):
    """A weighted sum over the answer and the kept reasoning: without fault, for others to break."""

    name = "good"
    spans = frozenset({Span.REASONING, Span.ANSWER})
    constraints = {"weight": Number(0)}

    def __init__(self, weight: float = 1.0) -> None:
        self.weight = weight

    def __call__(self, logprobs: LogprobTensors) -> torch.Tensor:
        """Return the sum, [version]."""
        return self.weight * logprobs.answer.double().sum(dim=1) + logprobs.reasoning.double().sum(dim=1)


def broken(call: Any = None, **members: Any) -> type[Objective]:
    """Return a class like `Good` but for some members."""
    calling = {"__call__": lambda self, logprobs: call(logprobs)} if call is not None else {}
    return type("Broken", (Good,), {**calling, **members})


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_objectives_keep_the_contract(name: str) -> None:
    """Every objective that comes with tokimp passes."""
    check_objective(load_objective(name))


def test_a_good_objective_passes() -> None:
    """A class and an instance pass."""
    check_objective(Good)
    check_objective(Good(2.0))


def _answer(logprobs: LogprobTensors) -> torch.Tensor:
    return logprobs.answer.double().sum(dim=1)


def _clamped_in_place(logprobs: LogprobTensors) -> torch.Tensor:
    logprobs.answer.clamp_(min=-0.1)
    return _answer(logprobs)


def _noisy(logprobs: LogprobTensors) -> torch.Tensor:
    return _answer(logprobs) + torch.rand(len(logprobs.answer), dtype=torch.float64)


def _wrong_answer(logprobs: LogprobTensors) -> torch.Tensor:
    assert logprobs.wrong_answer is not None
    return _answer(logprobs) - logprobs.wrong_answer.double().sum(dim=1)


def _counting(self: Any, logprobs: LogprobTensors) -> torch.Tensor:
    self.calls = getattr(self, "calls", 0) + 1
    return _answer(logprobs)


def _scaled(self: Any, weight: float = 1.0) -> None:
    self.weight = [weight]


ANSWER = {"spans": frozenset({Span.ANSWER})}
BOTH = {"spans": frozenset({Span.ANSWER, Span.WRONG_ANSWER})}


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        (3, "neither an instance nor a subclass of Objective"),
        (Objective, "Objective does not define __call__"),
        (broken(name="a b"), "holds no space"),
        (broken(__init__=_scaled), "must store weight as given"),
        (broken(constraints={"size": Number()}), "constraints name size, but __init__ has weight"),
        (Good(-1), "good: weight=-1 is not allowed; give a number, 0 or more"),
        (broken(spans={Span.ANSWER}), "spans must be a frozenset of one or more members of Span"),
        (broken(spans=frozenset({"answer!"})), "spans must be a frozenset"),
        (broken(spans=frozenset()), "spans must be a frozenset of one or more"),
        (broken(**ANSWER), r"must return finite numbers .* not among those it declares \(answer\)"),
        (broken(_wrong_answer), r"(?s)failed on several versions with AssertionError.*\(answer, reasoning\)"),
        (broken(lambda logprobs: _answer(logprobs).sum()), r"one number a version, a tensor of shape \(5,\)"),
        (broken(lambda logprobs: logprobs.answer.double()), r"it returned \(5, 3\)"),
        (broken(lambda logprobs: _answer(logprobs).tolist()), "it returned list"),
        (broken(lambda logprobs: _answer(logprobs).float()), "must return float64, not torch.float32"),
        (broken(lambda logprobs: _answer(logprobs) / 0), "must return finite numbers"),
        (broken(_clamped_in_place, **ANSWER), "must leave the log-probabilities as they are"),
        (broken(_noisy, **ANSWER), "must give the same numbers when asked again"),
        (type("Broken", (Good,), {"__call__": _counting, **ANSWER}), "must not change itself"),
        (broken(lambda logprobs: _answer(logprobs).cumsum(0), **ANSWER), "versions in reverse order get"),
        (broken(lambda logprobs: _answer(logprobs) - _answer(logprobs).mean(), **ANSWER), "versions alone get"),
        (broken(lambda logprobs: _answer(logprobs).detach(), **ANSWER), "must be differentiable"),
        (
            broken(lambda logprobs: _answer(logprobs) + _answer(logprobs).detach(), **ANSWER),
            "a gradient that agrees with finite differences",
        ),
        (
            broken(lambda logprobs: _answer(logprobs) + logprobs.reasoning.double().min(dim=1).values),
            "failed with no reasoning token left",
        ),
        (broken(_wrong_answer, **BOTH, check=lambda self, chain: None), "must refuse a chain without a wrong answer"),
    ],
)
def test_each_broken_rule_is_named(objective: Any, message: str) -> None:
    """An objective with one fault fails with the rule that it breaks."""
    with pytest.raises(AssertionError, match=message):
        check_objective(objective)
