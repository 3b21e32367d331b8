"""Pruning one chain in several ways, each estimated before it is run, and what each cost and found."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from tokimp.bench.estimate import expected_positions, from_scratch_positions, positions_a_second
from tokimp.bench.fidelity import Fidelity, fidelity
from tokimp.bench.matmul import synchronize
from tokimp.bench.reuse_modes import FAST, Way, estimator_for, scorer_for
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.estimator import Importance
from tokimp.contracts.objective import Objective
from tokimp.errors import UnsupportedError
from tokimp.models.causal_lm import CausalLMScorer
from tokimp.models.memory import peak_memory, reset_peak_memory

# The cheapest first, so that a budget is spent on what ends.
ORDER = (Way.FAST, Way.BETWEEN_STEPS, Way.WITHIN_STEPS, Way.FROM_SCRATCH)


@dataclass(frozen=True, slots=True)
class WayCost:
    """One way of pruning one chain.

    Attributes
    ----------
    way
        Which.
    expected_seconds, expected_positions
        As estimated before it ran; ``None`` where the way is not possible.
    skipped
        Why it was not run; empty if it was. All that follows is ``None`` then.
    seconds
        Of the pruning alone, model and chain in memory.
    positions
        Token positions passed through the model.
    operations
        Additions and multiplications (FLOP) of these, `tokimp.models.forward_work.ForwardWork.operations`.
    memory
        Bytes in use at most, weights included; since the process began where the system cannot forget a peak.
    fidelity
        Beside an exact run of the same chain; ``None`` where none was affordable.
    diagnostics
        What the estimator says of its run (of fast greedy pruning, its audit).
    """

    way: Way
    expected_seconds: float | None = None
    expected_positions: float | None = None
    skipped: str = ""
    seconds: float | None = None
    positions: int | None = None
    operations: int | None = None
    memory: int | None = None
    fidelity: Fidelity | None = None
    diagnostics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChainCost:
    """All ways of pruning one chain.

    Attributes
    ----------
    chain_id, prompt_tokens, reasoning_tokens, answer_tokens, units
        The chain and its sizes.
    from_scratch_positions
        Token positions of the published procedure, counted: `tokimp.bench.estimate.from_scratch_positions`.
    ways
        In the order of `Way`.
    """

    chain_id: str
    prompt_tokens: int
    reasoning_tokens: int
    answer_tokens: int
    units: int
    from_scratch_positions: float
    ways: tuple[WayCost, ...]


def measure_chain(
    scorer: CausalLMScorer,
    chain: TokenizedChain,
    objective: Objective,
    *,
    ways: Sequence[Way] = ORDER,
    keep_ratio: float = 0.0,
    budget: float = float("inf"),
    fast: str = FAST,
    say: Callable[[str], None] = lambda _: None,
) -> ChainCost:
    """Prune a chain in several ways, and return what each cost and how close it came to the exact run.

    Each way has caches and counts of its own. A short trial of each gives its speed, from which its seconds are
    estimated; the cheapest begins, and a way that would not end within what is left of the budget is skipped.

    Parameters
    ----------
    scorer
        The model.
    chain, objective, keep_ratio
        What is pruned, what is preserved, and the share of units at which to stop.
    ways
        Which to measure.
    budget
        Seconds for all ways together; estimates decide, so that a run may end later.
    fast
        Specification of the estimator of `Way.FAST`.
    say
        Told what begins, and what is skipped and why.

    Raises
    ------
    ChainError, EstimatorError, ScorerError
        As the estimators do.
    """
    began = time.perf_counter()
    objective.check(chain)
    pruning = _Pruning(scorer, chain, objective, keep_ratio, fast)
    costs: dict[Way, WayCost] = {}
    found: dict[Way, Importance] = {}
    for way in (way for way in ORDER if way in ways):
        cost = pruning.expect(way)
        left = budget - (time.perf_counter() - began)
        if cost.expected_seconds is not None and cost.expected_seconds > left:
            seconds = f"about {cost.expected_seconds:.0f} s expected, {max(0.0, left):.0f} s left of {budget:.0f} s"
            cost = replace(cost, skipped=seconds)
        if cost.skipped:
            say(f"{chain.chain.id}: {way} skipped: {cost.skipped}")
        else:
            say(f"{chain.chain.id}: {way}, about {cost.expected_seconds:.0f} s")
            found[way], cost = pruning.run(cost)
        costs[way] = cost
    exact = next((found[way] for way in reversed(ORDER) if way in found and way.exact), None)
    if exact is not None:
        unpruned = _unpruned(scorer, chain, objective)
        for way, importance in found.items():
            costs[way] = replace(costs[way], fidelity=fidelity(importance, exact, unpruned, objective, keep_ratio))
    return ChainCost(
        chain_id=chain.chain.id,
        prompt_tokens=len(chain.prompt_ids),
        reasoning_tokens=len(chain.reasoning_ids),
        answer_tokens=len(chain.answer_ids),
        units=len(chain.units),
        from_scratch_positions=from_scratch_positions(chain, keep_ratio),
        ways=tuple(costs[way] for way in Way if way in costs),
    )


@dataclass(frozen=True, slots=True)
class _Pruning:
    """What all ways have in common."""

    scorer: CausalLMScorer
    chain: TokenizedChain
    objective: Objective
    keep_ratio: float
    fast: str

    def expect(self, way: Way) -> WayCost:
        try:
            own = scorer_for(way, self.scorer)
        except UnsupportedError as error:
            return WayCost(way, skipped=str(error))
        estimator = estimator_for(way, self.keep_ratio, self.fast)
        positions = expected_positions(way, self.chain, self.keep_ratio, estimator, self.objective, shares=own.reuse_kv)
        return WayCost(way, positions / positions_a_second(own, self.chain, self.objective), positions)

    def run(self, cost: WayCost) -> tuple[Importance, WayCost]:
        own, estimator = scorer_for(cost.way, self.scorer), estimator_for(cost.way, self.keep_ratio, self.fast)
        reset_peak_memory(own.device)
        begin = time.perf_counter()
        importance = estimator.estimate(self.chain, own, self.objective)
        synchronize(own.device)
        seconds = time.perf_counter() - begin
        return importance, replace(
            cost,
            seconds=seconds,
            positions=own.tokens_forwarded,
            operations=own.work.operations(own.size),
            memory=peak_memory(own.device),
            diagnostics=dict(importance.diagnostics),
        )


def _unpruned(scorer: CausalLMScorer, chain: TokenizedChain, objective: Objective) -> float:
    logprobs = scorer.logprobs([chain])[0]
    reasoning, answer = float(logprobs.reasoning.sum()), float(logprobs.answer.sum())
    return {"answer": answer, "reasoning": reasoning}.get(objective.name, reasoning + answer)
