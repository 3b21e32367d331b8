"""Does an estimator keep the contract? One check for every class that subclasses `ImportanceEstimator`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tokimp.chains.chain import Chain, TokenizedChain
from tokimp.chains.tokenization import tokenize_chain
from tokimp.chains.units import Unit
from tokimp.compare.run_cell import run_cell
from tokimp.contracts.estimator import Importance, ImportanceEstimator
from tokimp.contracts.objective import Answer, Joint, Objective
from tokimp.contracts.scorer import Capability, Scorer
from tokimp.errors import EstimatorError
from tokimp.testing.toy_scorer import AdditiveScorer, toy_chain

_NEEDED = {
    "logprobs": Capability.LOGPROBS,
    "score_deletions": Capability.DELETIONS,
    "deletion_scores": Capability.DELETIONS,
    "deletion_logprobs": Capability.DELETIONS,
    "attention": Capability.ATTENTION,
    "score_knockouts": Capability.KNOCKOUT,
    "embedding_gradients": Capability.GRADIENTS,
    "objective_value": Capability.GRADIENTS,
    "generate": Capability.GENERATION,
}
_TEXTS: tuple[tuple[str, str, Unit], ...] = (
    ("one unit", "a", "token"),
    ("many tokens", "so 12 - 5 = 7, and 7 + 30 = 37 it is.", "token"),
    ("all tokens alike", "aaaaa", "token"),
    ("words", "so 12 - 5 = 7, and that is it.", "word"),
    ("sentences", "Take 5 from 12. That is 7. Done.", "sentence"),
    ("one sentence", "Take 5 from 12.", "sentence"),
)


def check_estimator(
    estimator: ImportanceEstimator | type[ImportanceEstimator],
    scorer: Scorer | None = None,
    chains: Sequence[TokenizedChain] | None = None,
    objectives: Sequence[Objective] = (Joint(), Answer()),
) -> None:
    """Raise `AssertionError` if an estimator breaks the contract of `ImportanceEstimator`.

    Checked is that ``__init__`` stores its parameters as given; that name, `requires`, label and parameters are as
    they must be; that it asks the scorer for nothing it does not require; that it gives one finite score a unit, with
    order and trajectory that agree, on chains of one unit, of many, of words, of sentences and of tokens all alike;
    that it gives the same again when asked again, other chains in between; and that it changes neither itself nor
    what it is given. Whether its importances are any good is for your own tests to say.

    Parameters
    ----------
    estimator
        A class that needs no parameters, or an instance.
    scorer
        Whom it asks; an `AdditiveScorer` by default, which has every capability but GENERATION.
    chains
        What it is checked on, tokenised for `scorer`; a few short ones by default.
    objectives
        What is to be preserved; every chain is checked with each.
    """
    instance = _instance(estimator)
    _check_description(instance)
    if scorer is None:
        letters = {chr(code): (code * 37 % 17 - 8) / 8 for code in range(32, 127)}
        scorer = AdditiveScorer(letters)
        chains = chains or [toy_chain(text, unit=unit, id=name) for name, text, unit in _TEXTS]
    chains = chains or [
        tokenize_chain(Chain(name, "12 - 5?", text, "7"), scorer.tokenizer, "plain", unit)
        for name, text, unit in _TEXTS
    ]
    lacking = ", ".join(sorted(instance.requires - scorer.capabilities))
    _expect(not lacking, f"{instance.label}: give check_estimator a scorer that has {lacking}; {scorer!r} has not")
    cases = [(chain, objective) for objective in objectives for chain in chains]
    first = [_estimate(instance, scorer, chain, objective) for chain, objective in cases]
    for (chain, objective), before in zip(reversed(cases), reversed(first), strict=True):
        again = _estimate(instance, scorer, chain, objective)
        _expect(
            dict(_numbers(before)) == dict(_numbers(again)),
            f"{instance.label} gave other numbers for chain {chain.id!r} when asked again; draw from the generators of "
            "random, numpy or torch, which are seeded for you, and keep nothing between chains",
        )


def _expect(holds: bool, message: str) -> None:
    # No assert statement: python -O would turn the whole check into nothing.
    if not holds:
        raise AssertionError(message)


def _instance(estimator: ImportanceEstimator | type[ImportanceEstimator]) -> ImportanceEstimator:
    if isinstance(estimator, ImportanceEstimator):
        return estimator
    _expect(inspect.isclass(estimator), f"{estimator!r} is neither an ImportanceEstimator nor a class of them")
    _expect(issubclass(estimator, ImportanceEstimator), f"{estimator.__name__} does not subclass ImportanceEstimator")
    abstract = ", ".join(sorted(estimator.__abstractmethods__))
    _expect(not abstract, f"{estimator.__name__} does not define {abstract}")
    required = [p.name for p in _parameters(estimator).values() if p.default is p.empty]
    _expect(not required, f"{estimator.__name__} needs {', '.join(required)}: give check_estimator an instance")
    return estimator()


def _parameters(kind: type[ImportanceEstimator]) -> dict[str, inspect.Parameter]:
    parameters = dict(inspect.signature(kind).parameters)
    for parameter in parameters.values():
        unnamed = parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}
        _expect(not unnamed, f"{kind.__name__}.__init__ takes {parameter}; name every parameter instead")
    return parameters


def _check_description(instance: ImportanceEstimator) -> None:
    """Check what can be said of an estimator before it is asked anything."""
    kind = type(instance)
    name, requires = getattr(kind, "name", None), kind.requires
    _expect(
        isinstance(name, str) and re.fullmatch(r"[^\s:,=]+", name) is not None,
        f"{kind.__name__}.name must be a text that is not empty and holds no space : , or =; it is {name!r}",
    )
    _expect(
        isinstance(requires, frozenset) and all(isinstance(capability, Capability) for capability in requires),
        f"{name}: requires must be a frozenset of members of Capability, not {requires!r}",
    )
    # Things of no known type: an __init__ that does more than store stumbles over them.
    given = {parameter: object() for parameter in _parameters(kind)}
    try:
        built = kind(**given)
    except Exception as error:
        raise AssertionError(
            f"{name}: __init__ must only store its parameters, but raised {type(error).__name__}: {error}; "
            "judge values in validate_parameters"
        ) from error
    for parameter, value in given.items():
        stored = getattr(built, parameter, "nothing of that name")
        _expect(stored is value, f"{name}: __init__ must store {parameter} as given, in self.{parameter}")
    try:
        instance.validate_parameters()
    except EstimatorError as error:
        raise AssertionError(str(error)) from error
    label = instance.label
    _expect(label == name or label.startswith(f"{name}:"), f"{name}: the label {label!r} must begin with the name")
    rebuilt = kind(**instance.parameters()).label
    _expect(rebuilt == label, f"{name}: equal parameters must give equal labels, not {label!r} and {rebuilt!r}")


class _RequiredOnly(Scorer):
    """Passes on to a scorer what an estimator requires, and remembers what else it was asked for."""

    def __init__(self, scorer: Scorer, requires: frozenset[Capability]) -> None:
        self._scorer = scorer
        self._requires = requires
        self.capabilities = requires
        self.trespasses: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        needed = _NEEDED.get(name)
        own = object.__getattribute__
        if needed is not None:
            if needed not in own(self, "_requires"):
                message = f"asks the scorer for {name}, so requires must hold Capability.{needed.name}"
                own(self, "trespasses").append(message)
                raise AssertionError(message)
            return getattr(own(self, "_scorer"), name)
        if name in {"_scorer", "_requires", "capabilities", "trespasses"} or name.startswith("__"):
            return own(self, name)
        return getattr(own(self, "_scorer"), name)

    def logprobs(self, chains: Sequence[TokenizedChain]) -> Any:
        """Exist, because the contract demands it; ``__getattribute__`` is what is met."""
        raise NotImplementedError


def _estimate(instance: ImportanceEstimator, scorer: Scorer, chain: TokenizedChain, objective: Objective) -> Importance:
    where = f"{instance.label} on chain {chain.id!r} with the objective {objective.name!r}"
    given = {"the chain": chain, "its own parameters": instance.parameters(), "the objective": vars(objective)}
    shown = {what: repr(value) for what, value in given.items()}
    gate = _RequiredOnly(scorer, instance.requires)
    before = scorer.tokens_forwarded
    try:
        importance = run_cell(chain, gate, instance, objective, seed=0).importance
    except EstimatorError as error:
        raise AssertionError("; ".join([f"{where}: {error}", *gate.trespasses])) from error
    _expect(not gate.trespasses, "; ".join([where, *gate.trespasses]))
    _expect(scorer.tokens_forwarded >= before, f"{where}: the scorer's tokens_forwarded was set back")
    given["its own parameters"] = instance.parameters()
    for what, value in given.items():
        _expect(repr(value) == shown[what], f"{where} changed {what}, from {shown[what]} to {value!r}")
    return importance


def _numbers(importance: Importance) -> Iterator[tuple[str, object]]:
    """Give every number of an importance under a name, NaN as a text so that it equals itself."""
    yield "scores", importance.scores.tolist()
    yield "order", None if importance.order is None else np.asarray(importance.order).tolist()
    for part in ("joint", "answer", "reasoning"):
        values = () if importance.trajectory is None else getattr(importance.trajectory, part)
        yield part, repr([float(value) for value in values])
    yield "diagnostics", repr(sorted(importance.diagnostics.items()))
