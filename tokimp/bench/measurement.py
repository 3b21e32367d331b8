"""Measuring what pruning one chain costs in each reuse mode, and how close it comes to the exact run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from tokimp.bench.estimate import expected_positions, from_scratch_positions, positions_a_second
from tokimp.bench.fidelity import Fidelity, fidelity
from tokimp.bench.reuse_modes import FAST, Reading, ReuseMode, estimator_for, own_reading, scorer_for
from tokimp.bench.roofline import TrafficSize
from tokimp.bench.run_cost import RunCost, run_and_measure
from tokimp.bench.time_split import TimeSplit
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.estimator import Importance
from tokimp.contracts.objective import Objective
from tokimp.errors import UnsupportedError
from tokimp.models.causal_lm import CausalLMScorer
from tokimp.models.forward_work import ForwardWork

# The cheapest first, so that a budget is spent on runs that end within it.
ORDER = (ReuseMode.FAST, ReuseMode.BETWEEN_STEPS, ReuseMode.WITHIN_STEPS, ReuseMode.FROM_SCRATCH)


@dataclass(frozen=True, slots=True)
class ModeCost:
    """What pruning a chain, or several at once, cost in one reuse mode.

    Attributes
    ----------
    mode
        The reuse mode.
    reading
        Whether shortened chains were read in batches or in packs.
    expected_seconds, expected_positions
        Estimates made before the run; ``None`` where the model does not allow the mode.
    skipped
        Why the mode was not run; empty if it was. If it was skipped, all that follows is ``None`` or empty.
    seconds
        Seconds of the pruning alone, with model and chain in memory.
    positions
        Token positions passed through the model.
    calls
        Calls of the model; one that several chains share counts once.
    operations
        Their additions and multiplications (FLOP), as `tokimp.models.forward_work.ForwardWork.operations` counts them.
    bytes_moved
        Bytes that have to be read and written at least (`tokimp.bench.roofline.TrafficSize.bytes_moved`).
    call_seconds
        Seconds of a call that reads one position.
    split
        Where the time went (`tokimp.bench.run_cost.RunCost.split`).
    memory
        Peak memory in bytes, weights included; on systems that cannot reset the peak, since the process began.
    fidelity
        Comparison with an exact run of the same chain; ``None`` where no exact run was made.
    diagnostics
        What the estimator reports about its run, such as the audit of fast greedy pruning.
    """

    mode: ReuseMode
    reading: Reading = Reading.BATCHES
    expected_seconds: float | None = None
    expected_positions: float | None = None
    skipped: str = ""
    seconds: float | None = None
    positions: int | None = None
    calls: int | None = None
    operations: int | None = None
    bytes_moved: int | None = None
    call_seconds: float | None = None
    split: TimeSplit | None = None
    memory: int | None = None
    fidelity: Fidelity | None = None
    diagnostics: dict[str, float] = field(default_factory=dict)

    @property
    def positions_a_call(self) -> float | None:
        """Mean token positions of a call; ``None`` where nothing was run."""
        return self.positions / self.calls if self.positions is not None and self.calls else None

    def with_run(self, run: RunCost, work: ForwardWork, positions: int, scorer: CausalLMScorer) -> ModeCost:
        """Return the cost with what a run measured.

        Parameters
        ----------
        run
            What was measured.
        work, positions
            What passed through the model, for all chains together.
        scorer
            The model.
        """
        return replace(
            self,
            seconds=run.seconds,
            positions=positions,
            calls=run.calls,
            operations=work.operations(scorer.size),
            bytes_moved=TrafficSize.of(scorer).bytes_moved(work, run.calls),
            call_seconds=run.call_seconds,
            split=run.split,
            memory=run.memory,
        )


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
        The costs, in the order of `ReuseMode`; those in batches before those in packs.
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
    readings: Sequence[Reading] | None = None,
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
    readings
        How to read in each mode but that from scratch, which reads batches. ``None``: as the scorer does.
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
    costs: dict[tuple[ReuseMode, Reading], ModeCost] = {}
    prunings: dict[tuple[ReuseMode, Reading], Importance] = {}
    for way in ways_to_measure(scorer, modes, readings):
        cost = pruning.expect(*way)
        left = budget - (time.perf_counter() - began)
        if cost.expected_seconds is not None and cost.expected_seconds > left:
            reason = f"about {cost.expected_seconds:.0f} s expected, {max(0.0, left):.0f} s left of {budget:.0f} s"
            cost = replace(cost, skipped=reason)
        name = way_name(cost)
        if cost.skipped:
            say(f"{chain.chain.id}: {name} skipped: {cost.skipped}")
        else:
            say(f"{chain.chain.id}: {name}, about {cost.expected_seconds:.0f} s")
            prunings[way], cost = pruning.run(cost)
        costs[way] = cost
    exact = next((prunings[way] for way in reversed(prunings) if way[0].exact), None)
    if exact is not None:
        unpruned = _unpruned_likelihood(scorer, chain, objective)
        for way, importance in prunings.items():
            costs[way] = replace(costs[way], fidelity=fidelity(importance, exact, unpruned, objective, keep_ratio))
    return ChainCost(
        chain_id=chain.chain.id,
        prompt_tokens=len(chain.prompt_ids),
        reasoning_tokens=len(chain.reasoning_ids),
        answer_tokens=len(chain.answer_ids),
        units=len(chain.units),
        from_scratch_positions=from_scratch_positions(chain, keep_ratio),
        modes=tuple(costs[mode, reading] for mode in ReuseMode for reading in Reading if (mode, reading) in costs),
    )


def ways_to_measure(
    scorer: CausalLMScorer, modes: Sequence[ReuseMode], readings: Sequence[Reading] | None
) -> list[tuple[ReuseMode, Reading]]:
    """Return modes with readings, the cheapest mode first; from scratch there is no reading but in batches."""
    chosen = [own_reading(scorer)] if readings is None else list(readings)
    return [
        (mode, reading)
        for mode in ORDER
        if mode in modes
        for reading in ([Reading.BATCHES] if mode is ReuseMode.FROM_SCRATCH else chosen)
    ]


def way_name(cost: ModeCost) -> str:
    """Return what a mode is called in lines of text: with its reading, where that is packs."""
    return f"{cost.mode}, packs" if cost.reading is Reading.PACKS else str(cost.mode)


@dataclass(frozen=True, slots=True)
class _Pruning:
    """A pruning that can be run in any mode: model, chain, objective, and where it stops."""

    scorer: CausalLMScorer
    chain: TokenizedChain
    objective: Objective
    keep_ratio: float
    fast: str

    def expect(self, mode: ReuseMode, reading: Reading) -> ModeCost:
        try:
            own = scorer_for(mode, self.scorer, reading)
        except UnsupportedError as error:
            return ModeCost(mode, reading, skipped=str(error))
        estimator = estimator_for(mode, self.keep_ratio, self.fast)
        positions = expected_positions(
            mode, self.chain, self.keep_ratio, estimator, self.objective, shares=own.reuse_kv
        )
        return ModeCost(mode, reading, positions / positions_a_second(own, self.chain, self.objective), positions)

    def run(self, cost: ModeCost) -> tuple[Importance, ModeCost]:
        """Prune in the mode of an estimated cost; return the importance, and the cost with what was measured."""

        def prune(own: CausalLMScorer) -> tuple[Importance, ForwardWork, int]:
            estimator = estimator_for(cost.mode, self.keep_ratio, self.fast)
            return estimator.estimate(self.chain, own, self.objective), own.work, own.tokens_forwarded

        new_scorer = partial(scorer_for, cost.mode, self.scorer, cost.reading)
        (importance, work, positions), run = run_and_measure(new_scorer, prune)
        measured = cost.with_run(run, work, positions, self.scorer)
        return importance, replace(measured, diagnostics=dict(importance.diagnostics))


def _unpruned_likelihood(scorer: CausalLMScorer, chain: TokenizedChain, objective: Objective) -> float:
    """Return the log-likelihood of the whole chain, of the kind that `fidelity.likelihoods` returns, nats."""
    logprobs = scorer.logprobs([chain])[0]
    reasoning, answer = float(logprobs.reasoning.sum()), float(logprobs.answer.sum())
    return {"answer": answer, "reasoning": reasoning}.get(objective.name, reasoning + answer)
