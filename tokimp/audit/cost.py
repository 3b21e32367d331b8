"""What an estimator costs on a chain, asked alone: positions, calls, seconds and memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tokimp.chains.chain import TokenizedChain
from tokimp.compare.run_cell import run_cell
from tokimp.contracts.estimator import ImportanceEstimator
from tokimp.contracts.objective import Objective
from tokimp.contracts.scorer import Scorer
from tokimp.errors import EstimatorError
from tokimp.models.memory import peak_memory, reset_peak_memory


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one chain.

    Attributes
    ----------
    units, tokens
        Of the chain's reasoning.
    positions
        Token positions passed through the model.
    calls
        Calls of the model for log-probabilities; ``None`` where only other calls were made, which are not counted, and
        for a scorer that does not count them.
    seconds
        Wall time.
    memory
        The most bytes in use beyond those in use before; ``None`` where the system cannot say. On a CPU it is resident
        memory, which allocators keep, so that what fits into memory freed before shows as 0.
    """

    units: int
    tokens: int
    positions: int
    calls: int | None
    seconds: float
    memory: int | None


def cost_of(
    estimator: ImportanceEstimator, chain: TokenizedChain, scorer: Scorer, objective: Objective, seed: int
) -> dict[str, Any] | None:
    """Return what an estimator costs on a chain, nothing of it known before; ``None`` if it fails there."""
    calls = _calls(scorer)
    began = peak_memory(scorer.device) if reset_peak_memory(scorer.device) else None
    try:
        cell = run_cell(chain, scorer, estimator, objective, seed=seed)
    except EstimatorError:
        return None
    after = _calls(scorer)
    return asdict(
        Cost(
            units=len(chain.units),
            tokens=len(chain.reasoning_ids),
            positions=cell.tokens_forwarded,
            calls=None if calls is None or after is None else (after - calls) or None,
            seconds=cell.seconds,
            memory=None if began is None else max(0, peak_memory(scorer.device) - began),
        )
    )


def median_chain(chains: Sequence[TokenizedChain]) -> TokenizedChain:
    """Return the chain of median length."""
    return sorted(chains, key=lambda chain: (len(chain.reasoning_ids), chain.id))[len(chains) // 2]


def _calls(scorer: Scorer) -> int | None:
    work = getattr(scorer, "work", None)
    return getattr(work, "calls", None)
