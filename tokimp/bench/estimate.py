"""What a pruning will cost, before it is run: token positions counted, seconds from a short trial."""

from __future__ import annotations

import time

import numpy as np

from tokimp.bench.matmul import synchronize
from tokimp.bench.reuse_modes import Way
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.estimator import ImportanceEstimator
from tokimp.contracts.objective import Objective
from tokimp.models.causal_lm import CausalLMScorer

# A step that reuses what the last one cached reads about two thirds of what one does that shares within itself: a
# candidate that stands before the last deletion, half of them on average, reads only what stands behind it.
_READ_AGAIN = 2 / 3
# Enough sequences to fill a small batch, few enough to end soon.
_TRIAL_SEQUENCES, _TRIAL_POSITIONS = (2, 16), 2048


def from_scratch_positions(chain: TokenizedChain, keep_ratio: float = 0.0) -> float:
    """Return the token positions read if every candidate of every step is read whole, as published.

    A sequence's last token is predicted and never read. Exact where all units are equally long, as tokens are; else for
    units of the mean length.

    Parameters
    ----------
    chain
        Whose units are deleted one by one.
    keep_ratio
        Share of the units at which the pruning stops.
    """
    kept, length, around = _sizes(chain, keep_ratio)
    return float((kept * (around - 1 + (kept - 1) * length)).sum())


def expected_positions(
    way: Way,
    chain: TokenizedChain,
    keep_ratio: float,
    estimator: ImportanceEstimator,
    objective: Objective,
    *,
    shares: bool,
) -> float:
    """Return about how many token positions a way will read.

    Parameters
    ----------
    way, chain, keep_ratio
        What is pruned, how, and how far.
    estimator
        Of the way. A fast one may estimate its own cost, where keys and values are shared, by a method
        ``expected_positions(chain, objective)``; one that does not is taken to be exact.
    objective
        What is preserved.
    shares
        Whether keys and values are shared at all.
    """
    if way is Way.FROM_SCRATCH:
        return from_scratch_positions(chain, keep_ratio)
    kept, length, around = _sizes(chain, keep_ratio)
    own = getattr(estimator, "expected_positions", None)
    if way is Way.FAST and shares and callable(own) and (positions := own(chain, objective)) is not None:
        return float(positions)
    if not shares:
        return from_scratch_positions(chain, keep_ratio)
    # A candidate reads what stands behind it: half the reasoning that is left, on average, and the answer.
    behind = kept * ((kept - 1) * length / 2 + len(chain.answer_ids))
    if way is Way.WITHIN_STEPS:
        return float((around + kept * length + behind).sum())
    return float(around + behind[0] + _READ_AGAIN * behind[1:].sum())


def positions_a_second(scorer: CausalLMScorer, chain: TokenizedChain, objective: Objective) -> float:
    """Score a few deletions of the whole chain; return token positions read a second."""
    whole = tuple(range(len(chain.reasoning_ids)))
    least, most = _TRIAL_SEQUENCES
    count = min(len(chain.units), max(least, min(most, _TRIAL_POSITIONS // len(chain))))
    chosen = [chain.units[place] for place in np.linspace(0, len(chain.units) - 1, count).astype(int)]
    scorer.score_deletions(chain, whole, chosen[:1], objective)  # what is slow the first time only
    trial = scorer.reusing(reuse_kv=scorer.reuse_kv)
    begin = time.perf_counter()
    trial.score_deletions(chain, whole, chosen, objective)
    synchronize(scorer.device)
    return trial.tokens_forwarded / (time.perf_counter() - begin)


def _sizes(chain: TokenizedChain, keep_ratio: float) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], float, int]:
    """Return the units kept before each step, tokens a unit, and tokens around the reasoning."""
    units = len(chain.units)
    kept = np.arange(units, int(units * keep_ratio), -1)
    return kept, len(chain.reasoning_ids) / units, len(chain.prompt_ids) + len(chain.answer_ids)
