"""Measuring what pruning several chains beside each other costs, with their packs read as one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from tokimp.bench.measurement import ORDER, ChainCost, ModeCost, measure_chain
from tokimp.bench.reuse_modes import FAST, Reading, ReuseMode, estimator_for, scorer_for
from tokimp.bench.run_cost import run_and_measure
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.estimator import ImportanceEstimator
from tokimp.contracts.objective import Objective
from tokimp.contracts.scorer import Scorer
from tokimp.errors import UnsupportedError
from tokimp.models.causal_lm import CausalLMScorer
from tokimp.models.forward_work import ForwardWork


@dataclass(frozen=True, slots=True)
class GroupCost:
    """What pruning several chains at once cost in every reuse mode that reads packs.

    Attributes
    ----------
    chain_ids, reasoning_tokens
        The chains and the lengths of their reasoning.
    modes
        The costs of all chains together, in the order of `ReuseMode`.
    """

    chain_ids: tuple[str, ...]
    reasoning_tokens: tuple[int, ...]
    modes: tuple[ModeCost, ...]


def measure_group_and_chains(
    scorer: CausalLMScorer,
    chains: Sequence[TokenizedChain],
    objective: Objective,
    *,
    modes: Sequence[ReuseMode] = ORDER,
    readings: Sequence[Reading] | None = None,
    keep_ratio: float = 0.0,
    budget: float = float("inf"),
    fast: str = FAST,
    say: Callable[[str], None] = lambda _: None,
) -> Iterator[ChainCost | GroupCost]:
    """Yield what pruning each chain cost by itself, and last, for two or more chains, what all of them cost at once.

    Parameters and errors as for `tokimp.bench.measurement.measure_chain` and `measure_group`; the budget is for all.
    """
    began, alone = time.perf_counter(), list[ChainCost]()

    def left() -> float:
        return max(0.0, budget - (time.perf_counter() - began))

    for chain in chains:
        alone.append(
            measure_chain(
                scorer,
                chain,
                objective,
                modes=modes,
                readings=readings,
                keep_ratio=keep_ratio,
                budget=left(),
                fast=fast,
                say=say,
            )
        )
        yield alone[-1]
    if len(chains) > 1:
        yield measure_group(
            scorer,
            chains,
            objective,
            alone=alone,
            modes=modes,
            keep_ratio=keep_ratio,
            budget=left(),
            fast=fast,
            say=say,
        )


def measure_group(
    scorer: CausalLMScorer,
    chains: Sequence[TokenizedChain],
    objective: Objective,
    *,
    alone: Sequence[ChainCost],
    modes: Sequence[ReuseMode] = ORDER,
    keep_ratio: float = 0.0,
    budget: float = float("inf"),
    fast: str = FAST,
    say: Callable[[str], None] = lambda _: None,
) -> GroupCost:
    """Prune several chains beside each other in several reuse modes, and return what each mode cost for all of them.

    The mode from scratch is left out: it reads batches, which chains do not share.

    Parameters
    ----------
    scorer
        The model, which reads packs.
    chains
        The chains of the group.
    alone
        What each of the chains cost by itself, in packs. Together they are expected to take no longer.
    objective, modes, keep_ratio, budget, fast, say
        As for `tokimp.bench.measurement.measure_chain`.

    Raises
    ------
    UnsupportedError
        If the scorer does not read packs.
    """
    if not scorer.decoder.reads_packs:
        raise UnsupportedError(
            f"several chains at once are read in packs, and {scorer.model_id} is read in {scorer.batching}; "
            "load it with packed=True (--packed)"
        )
    began, costs = time.perf_counter(), []
    name = f"{len(chains)} chains at once"
    for mode in (mode for mode in ReuseMode if mode in modes and mode is not ReuseMode.FROM_SCRATCH):
        cost = _expected(mode, alone)
        left = budget - (time.perf_counter() - began)
        if cost.expected_seconds is not None and cost.expected_seconds > left:
            reason = f"at most {cost.expected_seconds:.0f} s expected, {max(0.0, left):.0f} s left of {budget:.0f} s"
            cost = replace(cost, skipped=reason)
        if cost.skipped:
            say(f"{name}: {mode} skipped: {cost.skipped}")
        else:
            say(f"{name}: {mode}, at most {cost.expected_seconds or 0:.0f} s")
            cost = _run(
                cost, scorer, chains, partial(_prune, objective, partial(estimator_for, mode, keep_ratio, fast))
            )
        costs.append(cost)
    return GroupCost(
        tuple(chain.chain.id for chain in chains), tuple(len(chain.reasoning_ids) for chain in chains), tuple(costs)
    )


def _expected(mode: ReuseMode, alone: Sequence[ChainCost]) -> ModeCost:
    """Return the cost that chains have one after another: measured where they ran, else estimated."""
    single = [cost for chain in alone for cost in chain.modes if cost.mode is mode and cost.reading is Reading.PACKS]
    seconds = [cost.expected_seconds if cost.seconds is None else cost.seconds for cost in single]
    positions = [cost.expected_positions if cost.positions is None else cost.positions for cost in single]
    reason = next((cost.skipped for cost in single if cost.expected_seconds is None), "")
    if reason:
        return ModeCost(mode, Reading.PACKS, skipped=reason)
    return ModeCost(
        mode, Reading.PACKS, sum(value or 0.0 for value in seconds), sum(value or 0.0 for value in positions)
    )


def _prune(
    objective: Objective, new_estimator: Callable[[], ImportanceEstimator], chain: TokenizedChain, own: Scorer
) -> tuple[ForwardWork, int]:
    """Prune one chain; return what passed through the model for it, and its token positions."""
    assert isinstance(own, CausalLMScorer)  # noqa: S101 - run_side_by_side hands out copies of the scorer
    new_estimator().estimate(chain, own, objective)
    return own.work, own.tokens_forwarded


def _run(
    cost: ModeCost,
    scorer: CausalLMScorer,
    chains: Sequence[TokenizedChain],
    prune: Callable[[TokenizedChain, Scorer], tuple[ForwardWork, int]],
) -> ModeCost:
    """Prune all chains at once; return the cost with what was measured."""

    def prune_all(own: CausalLMScorer) -> tuple[ForwardWork, int]:
        counts = []
        for outcome in own.run_side_by_side([partial(prune, chain) for chain in chains]):
            if isinstance(outcome, BaseException):
                raise outcome
            counts.append(outcome)
        work = ForwardWork(
            calls=sum(work.calls for work, _ in counts),
            positions=sum(work.positions for work, _ in counts),
            scored=sum(work.scored for work, _ in counts),
            pairs=sum(work.pairs for work, _ in counts),
        )
        return work, sum(positions for _, positions in counts)

    (work, positions), run = run_and_measure(partial(scorer_for, cost.mode, scorer, Reading.PACKS), prune_all)
    return cost.with_run(run, work, positions, scorer)
