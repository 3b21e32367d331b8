"""What a pruning will cost, before it is run: token positions counted, seconds from a short trial."""

from __future__ import annotations

import time

import numpy as np

from tokimp.bench.matmul import synchronize
from tokimp.bench.reuse_modes import ReuseMode
from tokimp.chains.arrays import FloatArray, IntArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.estimator import ImportanceEstimator
from tokimp.contracts.objective import Objective
from tokimp.models.causal_lm import CausalLMScorer

# A step that reuses the last step's cache reads about two thirds as many positions as a step that shares only within
# itself: half of the candidates, on average, stand before the last deletion and read only what follows them.
_READ_AGAIN = 2 / 3
# Fewest and most sequences of a trial, and its positions: enough to fill a small batch, few enough to end soon.
_TRIAL_SEQUENCES, _TRIAL_POSITIONS = (2, 16), 2048


def from_scratch_positions(chain: TokenizedChain, keep_ratio: float = 0.0) -> float:
    """Return how many token positions are read if every candidate of every step is read whole, as published.

    A sequence's last token is predicted and never read. The number is exact where all units are equally long, as tokens
    are; otherwise it holds for units of the mean length.

    Parameters
    ----------
    chain
        The chain whose units are deleted one by one.
    keep_ratio
        Share of the units at which the pruning stops.
    """
    kept, length, around = _sizes(chain, keep_ratio)
    return float((kept * (around - 1 + (kept - 1) * length)).sum())


def expected_positions(
    mode: ReuseMode,
    chain: TokenizedChain,
    keep_ratio: float,
    estimator: ImportanceEstimator,
    objective: Objective,
    *,
    shares: bool,
) -> float:
    """Return about how many token positions a pruning will read.

    Parameters
    ----------
    mode
        What the pruning reuses.
    chain
        The chain that is pruned.
    keep_ratio
        Share of the units at which the pruning stops.
    estimator
        The estimator of the mode (`estimator_for`). A fast one may have a method ``expected_positions(chain,
        objective)`` that estimates its own cost where keys and values are shared; without one, or where it returns
        ``None``, the estimate is that of the exact procedure.
    objective
        What the pruning preserves.
    shares
        Whether keys and values are shared at all.
    """
    if mode is ReuseMode.FROM_SCRATCH:
        return from_scratch_positions(chain, keep_ratio)
    kept, length, around = _sizes(chain, keep_ratio)
    own_estimate = getattr(estimator, "expected_positions", None)
    if mode is ReuseMode.FAST and shares and callable(own_estimate):
        positions = own_estimate(chain, objective)
        if positions is not None:
            return float(positions)
    if not shares:
        return from_scratch_positions(chain, keep_ratio)
    if mode is ReuseMode.WITHIN_STEPS:
        return float((around + kept * length + _following(chain, kept, length)).sum())
    return shared_positions(chain, keep_ratio)


def shared_positions(chain: TokenizedChain, keep_ratio: float = 0.0) -> float:
    """Return about how many token positions are read if keys and values are shared within and between steps.

    Parameters
    ----------
    chain
        The chain whose units are deleted one by one.
    keep_ratio
        Share of the units at which the pruning stops.
    """
    kept, length, around = _sizes(chain, keep_ratio)
    following = _following(chain, kept, length)
    return float(around + following[:1].sum() + _READ_AGAIN * following[1:].sum())


def _following(chain: TokenizedChain, kept: IntArray, length: float) -> FloatArray:
    """Return the positions after the candidates of each step, [step], summed over its candidates.

    A candidate reads what follows it: half the reasoning that is left, on average, and the answer.
    """
    following: FloatArray = kept * ((kept - 1) * length / 2 + len(chain.answer_ids))
    return following


def positions_a_second(scorer: CausalLMScorer, chain: TokenizedChain, objective: Objective) -> float:
    """Score a few deletions of the whole chain, and return how many token positions a second were read."""
    whole = tuple(range(len(chain.reasoning_ids)))
    least, most = _TRIAL_SEQUENCES
    count = min(len(chain.units), max(least, min(most, _TRIAL_POSITIONS // len(chain))))
    chosen = [chain.units[place] for place in np.linspace(0, len(chain.units) - 1, count).astype(int)]
    scorer.score_deletions(chain, whole, chosen[:1], objective)  # untimed: the first call compiles and allocates
    trial = scorer.reusing(reuse_kv=scorer.reuse_kv)
    begin = time.perf_counter()
    trial.score_deletions(chain, whole, chosen, objective)
    synchronize(scorer.device)
    return trial.tokens_forwarded / (time.perf_counter() - begin)


def _sizes(chain: TokenizedChain, keep_ratio: float) -> tuple[IntArray, float, int]:
    """Return the number of units before each step, [step], the tokens of a unit, and of prompt and answer."""
    units = len(chain.units)
    kept = np.arange(units, int(units * keep_ratio), -1)
    return kept, len(chain.reasoning_ids) / units, len(chain.prompt_ids) + len(chain.answer_ids)
