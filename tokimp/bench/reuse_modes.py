"""How much each measured run of greedy pruning reuses, with the scorer and the estimator that do it."""

from __future__ import annotations

import inspect
from enum import StrEnum
from typing import TYPE_CHECKING

from tokimp.errors import UnsupportedError

if TYPE_CHECKING:
    from tokimp.contracts.estimator import ImportanceEstimator
    from tokimp.models.causal_lm import CausalLMScorer

EXACT = "greedy"
FAST = "greedy:strategy=fast"
EXACT_PRUNING = f"{EXACT}:strategy=exact"
"""The estimator that prunes as `ReuseMode.BETWEEN_STEPS` does, for whoever wants the ranks and no measurement."""


class ReuseMode(StrEnum):
    """What greedy pruning reuses when it scores the candidates of a step.

    Attributes
    ----------
    FROM_SCRATCH
        Nothing: every candidate is read as a whole sequence, as published, in batches of one length without a cache.
    WITHIN_STEPS
        The candidates of one step share the keys and values of the tokens that precede them.
    BETWEEN_STEPS
        Steps share keys and values as well: a candidate is read only from the first token whose prefix changed.
    FAST
        Not every candidate is scored at every step, so the order may differ from the exact one.
    """

    FROM_SCRATCH = "from-scratch"
    WITHIN_STEPS = "within-steps"
    BETWEEN_STEPS = "between-steps"
    FAST = "fast"

    @property
    def exact(self) -> bool:
        """Whether every candidate is scored at every step, so that the order is that of the paper's procedure."""
        return self is not ReuseMode.FAST


class Reading(StrEnum):
    """How shortened chains pass through the model.

    Attributes
    ----------
    BATCHES
        In rectangular batches of rows of one length.
    PACKS
        End to end as one sequence, whatever their lengths (`tokimp.models.packs`).
    """

    BATCHES = "batches"
    PACKS = "packs"


def own_reading(scorer: CausalLMScorer) -> Reading:
    """Return how a scorer reads shortened chains."""
    return Reading.PACKS if scorer.decoder.reads_packs else Reading.BATCHES


def scorer_for(mode: ReuseMode, scorer: CausalLMScorer, reading: Reading | None = None) -> CausalLMScorer:
    """Return a scorer of the same loaded model that reuses what a mode allows, with counts of its own.

    Parameters
    ----------
    mode
        The mode. `ReuseMode.FROM_SCRATCH` always reads batches.
    scorer
        The loaded model.
    reading
        How to read; ``None``: as the scorer does.

    Raises
    ------
    UnsupportedError
        If the mode needs keys and values that this architecture cannot share, or packs are asked for and this scorer
        does not read them.
    """
    if mode is ReuseMode.FAST:
        own = scorer.reusing(reuse_kv=scorer.reuse_kv)
    else:
        cache_memory = 0 if mode is ReuseMode.WITHIN_STEPS else None
        own = scorer.reusing(reuse_kv=mode is not ReuseMode.FROM_SCRATCH, cache_memory=cache_memory)
    if reading is Reading.BATCHES:
        own.decoder.packed = None  # this decoder is the copy that `reusing` made
    elif reading is Reading.PACKS and mode is not ReuseMode.FROM_SCRATCH and not own.decoder.reads_packs:
        raise UnsupportedError(f"{scorer.model_id} is read in {scorer.batching}; load it with packed=True")
    return own


def estimator_for(mode: ReuseMode, keep_ratio: float, fast: str = FAST) -> ImportanceEstimator:
    """Return the estimator that a mode runs.

    Parameters
    ----------
    mode
        The mode.
    keep_ratio
        Share of the units at which the pruning stops.
    fast
        Specification of the estimator of `ReuseMode.FAST`; it must take ``keep_ratio``.

    Raises
    ------
    PluginError
        If there is no such estimator, or it lacks a parameter.
    EstimatorError
        If a parameter's value is not allowed.
    """
    from tokimp.contracts.registry import load_estimator  # noqa: PLC0415 - slow, and --help needs only the names above

    specification = fast if mode is ReuseMode.FAST else EXACT
    estimator_class = type(load_estimator(specification))
    parameters = [f"keep_ratio={keep_ratio}"]
    if mode.exact and "strategy" in inspect.signature(estimator_class).parameters:
        parameters.append("strategy=exact")
    separator = "," if "=" in specification else ":"
    estimator = load_estimator(separator.join([specification, ",".join(parameters)]))
    estimator.validate_parameters()
    return estimator
