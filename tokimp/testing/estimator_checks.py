"""Does an estimator keep the contract? One check for every class that subclasses `ImportanceEstimator`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tokimp.chains.chain import Chain, TokenizedChain
from tokimp.compare.run_cell import run_cell
from tokimp.contracts.estimator import Importance, ImportanceEstimator
from tokimp.contracts.objective import Answer, Joint, Objective
from tokimp.contracts.scorer import Scorer
from tokimp.contracts.tokenization import tokenize_chain
from tokimp.errors import EstimatorError
from tokimp.testing.parameter_checks import built, check_parameters, check_requires, expect
from tokimp.testing.required_only import RequiredOnly
from tokimp.testing.toy_scorer import AdditiveScorer, toy_chain

_TEXTS: tuple[tuple[str, str, str], ...] = (
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

    The rules:

    - ``__init__`` stores its parameters as given. Name, `requires`, label, parameters and constraints are well formed.
    - It asks the scorer for nothing that it does not require.
    - It gives one finite score a unit, with an order and a trajectory that agree. It is asked about chains of one unit,
      many tokens, words, sentences, and tokens that are all alike.
    - It gives the same again when it is asked again, with other chains in between.
    - It changes neither itself nor its arguments.

    Whether its importances are any good is for your own tests to say.

    Parameters
    ----------
    estimator
        A class that needs no parameters, or an instance.
    scorer
        The scorer that it asks; by default an `AdditiveScorer`, which has every capability but GENERATION.
    chains
        The chains that it is asked about, tokenised for `scorer`; a few short ones by default.
    objectives
        What deletions are to preserve; every chain is checked with each.

    Examples
    --------
    >>> import numpy as np
    >>> from tokimp.contracts.estimator import Importance
    >>> class Later(ImportanceEstimator):
    ...     name = "later"
    ...
    ...     def estimate(self, chain, scorer, objective):
    ...         return Importance(np.arange(len(chain.units)))
    >>> check_estimator(Later)
    """
    instance = built(estimator, ImportanceEstimator, "check_estimator")
    check_parameters(instance)
    check_requires(instance.name, instance.requires)
    if scorer is None:
        letters = {chr(code): (code * 37 % 17 - 8) / 8 for code in range(32, 127)}
        scorer = AdditiveScorer(letters)
        chains = chains or [toy_chain(text, unit=unit, id=name) for name, text, unit in _TEXTS]
    chains = chains or [
        tokenize_chain(Chain(name, "12 - 5?", text, "7"), scorer.tokenizer, "plain", unit)
        for name, text, unit in _TEXTS
    ]
    lacking = ", ".join(sorted(instance.requires - scorer.capabilities))
    expect(not lacking, f"{instance.label}: give check_estimator a scorer that has {lacking}; {scorer!r} has not")
    cases = [(chain, objective) for objective in objectives for chain in chains]
    first = [_estimate(instance, scorer, chain, objective) for chain, objective in cases]
    for (chain, objective), importance in zip(reversed(cases), reversed(first), strict=True):
        again = _estimate(instance, scorer, chain, objective)
        expect(
            dict(_numbers(importance)) == dict(_numbers(again)),
            f"{instance.label} gave other numbers for chain {chain.id!r} when asked again; draw from the generators of "
            "random, numpy or torch, which are seeded for you, and keep nothing between chains",
        )


def _estimate(instance: ImportanceEstimator, scorer: Scorer, chain: TokenizedChain, objective: Objective) -> Importance:
    where = f"{instance.label} on chain {chain.id!r} with the objective {objective.name!r}"
    arguments = {"the chain": chain, "its own parameters": instance.parameters(), "the objective": vars(objective)}
    shown = {what: repr(value) for what, value in arguments.items()}
    gate = RequiredOnly(scorer, instance.requires)
    forwarded = scorer.tokens_forwarded
    try:
        importance = run_cell(chain, gate, instance, objective, seed=0).importance
    except EstimatorError as error:
        raise AssertionError("; ".join([f"{where}: {error}", *gate.trespasses])) from error
    expect(not gate.trespasses, "; ".join([where, *gate.trespasses]))
    expect(scorer.tokens_forwarded >= forwarded, f"{where}: the scorer's tokens_forwarded was set back")
    arguments["its own parameters"] = instance.parameters()
    for what, value in arguments.items():
        expect(repr(value) == shown[what], f"{where} changed {what}, from {shown[what]} to {value!r}")
    return importance


def _numbers(importance: Importance) -> Iterator[tuple[str, object]]:
    """Yield every number of an importance under a name; NaN becomes a text, so that it equals itself."""
    yield "scores", importance.scores.tolist()
    yield "order", None if importance.order is None else np.asarray(importance.order).tolist()
    for part in ("joint", "answer", "reasoning"):
        values = () if importance.trajectory is None else getattr(importance.trajectory, part)
        yield part, repr([float(value) for value in values])
    yield "diagnostics", repr(sorted(importance.diagnostics.items()))
    for part in ("effects", "effects_on_answer"):
        values = getattr(importance, part)
        yield part, None if values is None else np.asarray(values).tolist()
