"""The ways of pruning that are measured: what each reuses, and the estimator that does it."""

from __future__ import annotations

import inspect
from enum import StrEnum

from tokimp.contracts.estimator import ImportanceEstimator
from tokimp.contracts.registry import load_estimator
from tokimp.models.causal_lm import CausalLMScorer

EXACT = "greedy"
FAST = "greedy:strategy=fast"
EXACT_PRUNING = f"{EXACT}:strategy=exact"
"""The estimator that prunes as `Way.BETWEEN_STEPS` does, for whoever wants the ranks and no measurement."""


class Way(StrEnum):
    """How every step's candidates are scored.

    Attributes
    ----------
    FROM_SCRATCH
        Every candidate as a whole sequence, as published; in batches of rows of one length, without a cache.
    WITHIN_STEPS
        The candidates of a step share the keys and values of what precedes them.
    BETWEEN_STEPS
        Steps share as well: a candidate is read only from where its past is new.
    FAST
        Not every candidate at every step; not the same order.
    """

    FROM_SCRATCH = "from-scratch"
    WITHIN_STEPS = "within-steps"
    BETWEEN_STEPS = "between-steps"
    FAST = "fast"

    @property
    def exact(self) -> bool:
        """Whether every candidate is scored at every step, so that the order is that of the paper's procedure."""
        return self is not Way.FAST


def scorer_for(way: Way, scorer: CausalLMScorer) -> CausalLMScorer:
    """Return a scorer of the same loaded model that works in one way, with counts of its own.

    Raises
    ------
    UnsupportedError
        If the way needs keys and values that this architecture cannot share.
    """
    if way is Way.FAST:
        return scorer.reusing(reuse_kv=scorer.reuse_kv)
    return scorer.reusing(reuse_kv=way is not Way.FROM_SCRATCH, cache_memory=0 if way is Way.WITHIN_STEPS else None)


def estimator_for(way: Way, keep_ratio: float, fast: str = FAST) -> ImportanceEstimator:
    """Return the estimator of a way.

    Parameters
    ----------
    way, keep_ratio
        Which, and where it stops.
    fast
        Specification of the estimator of `Way.FAST`; one that takes ``keep_ratio``.

    Raises
    ------
    PluginError
        If there is no such estimator, or it lacks a parameter.
    EstimatorError
        If a parameter's value is not allowed.
    """
    specification = fast if way is Way.FAST else EXACT
    named = type(load_estimator(specification))
    given = [f"keep_ratio={keep_ratio}"]
    if way.exact and "strategy" in inspect.signature(named).parameters:
        given.append("strategy=exact")
    separator = "," if "=" in specification else ":"
    estimator = load_estimator(separator.join([specification, ",".join(given)]))
    estimator.validate_parameters()
    return estimator
