"""Measuring what pruning one chain costs in each reuse mode, and how close it comes to the exact run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from tokimp.bench.estimate import expected_positions, from_scratch_positions, positions_a_second
from tokimp.bench.fidelity import Fidelity, fidelity
from tokimp.bench.matmul import synchronize
from tokimp.bench.reuse_modes import FAST, ReuseMode, estimator_for, scorer_for
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.estimator import Importance
from tokimp.contracts.objective import Objective
from tokimp.errors import UnsupportedError
from tokimp.models.causal_lm import CausalLMScorer
from tokimp.models.memory import peak_memory, reset_peak_memory

# The cheapest first, so that a budget is spent on runs that end within it.
ORDER = (ReuseMode.FAST, ReuseMode.BETWEEN_STEPS, ReuseMode.WITHIN_STEPS, ReuseMode.FROM_SCRATCH)


@dataclass(frozen=True, slots=True)
class ModeCost:
    """What pruning one chain cost in one reuse mode.

    Attributes
    ----------
    mode
        The reuse mode.
    expected_seconds, expected_positions
        Estimates made before the run; ``None`` where the model does not allow the mode.
    skipped
        Why the mode was not run; empty if it was. If it was skipped, all that follows is ``None`` or empty.
    seconds
        Seconds of the pruning alone, with model and chain in memory.
    positions
        Token positions passed through the model.
    operations
        Their additions and multiplications (FLOP), as `tokimp.models.forward_work.ForwardWork.operations` counts them.
    memory
        Peak memory in bytes, weights included; on systems that cannot reset the peak, since the process began.
    fidelity
        Comparison with an exact run of the same chain; ``None`` where no exact run was made.
    diagnostics
        What the estimator reports about its run, such as the audit of fast greedy pruning.
    """

    mode: ReuseMode
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
    """What pruning one chain cost in every reuse mode.

    Attributes
    ----------
    chain_id, prompt_tokens, reasoning_tokens, answer_tokens, units
        The chain and its sizes.
    from_scratch_positions
        Token positions that the published procedure reads (`tokimp.bench.estimate.from_scratch_positions`).
    modes
        The costs, in the order of `ReuseMode`.
    """

    chain_id: str
    prompt_tokens: int
    reasoning_tokens: int
    answer_tokens: int
    units: int
    from_scratch_positions: float
    modes: tuple[ModeCost, ...]


def measure_chain(
    scorer: CausalLMScorer,
    chain: TokenizedChain,
    objective: Objective,
    *,
    modes: Sequence[ReuseMode] = ORDER,
    keep_ratio: float = 0.0,
    budget: float = float("inf"),
    fast: str = FAST,
    say: Callable[[str], None] = lambda _: None,
) -> ChainCost:
    """Prune a chain in several reuse modes, and return what each cost and how close it came to the exact run.

    Each mode has caches and counts of its own. A short trial measures its speed, from which its seconds are estimated.
    The cheapest mode runs first. A mode that is expected to take longer than what is left of the budget is skipped.

    Parameters
    ----------
    scorer
        The model.
    chain
        The chain to prune.
    objective
        What the pruning preserves.
    modes
        The modes to measure.
    keep_ratio
        Share of the units at which to stop.
    budget
        Seconds for all modes together. Estimates decide what runs, so the whole may take longer.
    fast
        Specification of the estimator of `ReuseMode.FAST`.
    say
        Called with a line of text when a mode begins or is skipped.

    Raises
    ------
    ChainError, EstimatorError, ScorerError
        As the estimators do.
    """
    began = time.perf_counter()
    objective.check(chain)
    pruning = _Pruning(scorer, chain, objective, keep_ratio, fast)
    costs: dict[ReuseMode, ModeCost] = {}
    prunings: dict[ReuseMode, Importance] = {}
    for mode in (mode for mode in ORDER if mode in modes):
        cost = pruning.expect(mode)
        left = budget - (time.perf_counter() - began)
        if cost.expected_seconds is not None and cost.expected_seconds > left:
            reason = f"about {cost.expected_seconds:.0f} s expected, {max(0.0, left):.0f} s left of {budget:.0f} s"
            cost = replace(cost, skipped=reason)
        if cost.skipped:
            say(f"{chain.chain.id}: {mode} skipped: {cost.skipped}")
        else:
            say(f"{chain.chain.id}: {mode}, about {cost.expected_seconds:.0f} s")
            prunings[mode], cost = pruning.run(cost)
        costs[mode] = cost
    exact = next((prunings[mode] for mode in reversed(ORDER) if mode in prunings and mode.exact), None)
    if exact is not None:
        unpruned = _unpruned_likelihood(scorer, chain, objective)
        for mode, importance in prunings.items():
            costs[mode] = replace(costs[mode], fidelity=fidelity(importance, exact, unpruned, objective, keep_ratio))
    return ChainCost(
        chain_id=chain.chain.id,
        prompt_tokens=len(chain.prompt_ids),
        reasoning_tokens=len(chain.reasoning_ids),
        answer_tokens=len(chain.answer_ids),
        units=len(chain.units),
        from_scratch_positions=from_scratch_positions(chain, keep_ratio),
        modes=tuple(costs[mode] for mode in ReuseMode if mode in costs),
    )


@dataclass(frozen=True, slots=True)
class _Pruning:
    """A pruning that can be run in any mode: model, chain, objective, and where it stops."""

    scorer: CausalLMScorer
    chain: TokenizedChain
    objective: Objective
    keep_ratio: float
    fast: str

    def expect(self, mode: ReuseMode) -> ModeCost:
        try:
            own = scorer_for(mode, self.scorer)
        except UnsupportedError as error:
            return ModeCost(mode, skipped=str(error))
        estimator = estimator_for(mode, self.keep_ratio, self.fast)
        positions = expected_positions(
            mode, self.chain, self.keep_ratio, estimator, self.objective, shares=own.reuse_kv
        )
        return ModeCost(mode, positions / positions_a_second(own, self.chain, self.objective), positions)

    def run(self, cost: ModeCost) -> tuple[Importance, ModeCost]:
        """Prune in the mode of an estimated cost; return the importance, and the cost with what was measured."""
        own, estimator = scorer_for(cost.mode, self.scorer), estimator_for(cost.mode, self.keep_ratio, self.fast)
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


def _unpruned_likelihood(scorer: CausalLMScorer, chain: TokenizedChain, objective: Objective) -> float:
    """Return the log-likelihood of the whole chain, of the kind that `fidelity.likelihoods` returns, nats."""
    logprobs = scorer.logprobs([chain])[0]
    reasoning, answer = float(logprobs.reasoning.sum()), float(logprobs.answer.sum())
    return {"answer": answer, "reasoning": reasoning}.get(objective.name, reasoning + answer)
