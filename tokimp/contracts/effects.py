"""Effects: what one unit does to each later one, and to the answer, when it is taken away."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.operators import Operator
from tokimp.contracts.plugin_output import array_problem
from tokimp.contracts.scorer import Scorer
from tokimp.errors import EstimatorError

MOST_UNITS = 2000
"""The most units of a chain with effects: two million pairs, 8 MB for each estimator."""
MOST_PAIRS = 100_000_000
"""The most pairs of units in one result, over chains and estimators: 400 MB."""


def unit_effects(scorer: Scorer, chain: TokenizedChain, operator: Operator) -> tuple[FloatArray, FloatArray]:
    """Return what each unit adds to the log-probability of each later unit, and of the answer.

    ``effect(u, v) = log P(v given all before it) - log P(v given all before it, u taken away)`` for every v after u, in
    nats, summed over the tokens of v. Every version is read with the chain's own later text (teacher forcing), so an
    effect on the answer is the whole one: what it loses directly, and through units that are read otherwise.

    Parameters
    ----------
    scorer
        The model that scores.
    chain
        The full chain.
    operator
        How units are taken away.

    Returns
    -------
    between : FloatArray
        [unit taken away, unit], 0 on the diagonal and before it.
    on_answer : FloatArray
        [unit taken away].
    """
    logprobs = operator.logprobs(scorer, chain, [*chain.units, ()])
    drops = logprobs[-1].astype(np.float64) - logprobs[:-1]
    between = np.stack([drops[:, list(unit)].sum(axis=1) for unit in chain.units], axis=1)
    # A unit's own tokens are gone, and those before it do not depend on it.
    return np.triu(between, k=1), drops[:, len(chain.reasoning_ids) :].sum(axis=1)


def effects_problem(effects: object, on_answer: object, n_units: int) -> str:
    """Return what is wrong with the effects of an importance; an empty text if nothing is, or there are none."""
    if effects is None:
        return "" if on_answer is None else "effects on the answer without effects between units"
    if problem := array_problem(effects, (n_units, n_units), "one number for each unit and each unit it acts on"):
        return f"as effects, {problem}"
    if on_answer is not None and (problem := array_problem(on_answer, (n_units,), "one number a unit")):
        return f"as effects on the answer, {problem}"
    if not all(np.isfinite(np.asarray(each)).all() for each in (effects, on_answer) if each is not None):
        return "effects that are not finite"
    is_backward = np.tril(np.asarray(effects)).any()
    return "effects of units on themselves or on earlier ones; those entries must be 0" if is_backward else ""


def check_effects_fit(chains: Sequence[TokenizedChain], labels: Sequence[str]) -> None:
    """Raise `EstimatorError` if a result cannot hold the effects that some estimators give; before any work.

    Parameters
    ----------
    chains
        The chains of the run.
    labels
        The labels of the estimators that give effects.
    """
    if not labels:
        return
    for chain in chains:
        if len(chain.units) > MOST_UNITS:
            raise EstimatorError(
                f"{chain.chain.where}: its {len(chain.units)} {chain.unit} units are too many for the effects of "
                f"{labels[0]!r}, which are one number for each pair; at most {MOST_UNITS} are: take words or sentences "
                "(--unit), leave the chain out, or do without effects"
            )
    pairs = len(labels) * sum(len(chain.units) * (len(chain.units) - 1) // 2 for chain in chains)
    if pairs > MOST_PAIRS:
        raise EstimatorError(
            f"the effects of {', '.join(map(repr, labels))} on these {len(chains)} chains are {pairs:,} numbers, and a "
            f"result holds at most {MOST_PAIRS:,}: take words or sentences (--unit), or fewer chains (--limit)"
        )
