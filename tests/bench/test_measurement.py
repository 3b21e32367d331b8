"""Measuring prunings: a budget that is kept, and modes that agree."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tokimp.bench.estimate import from_scratch_positions
from tokimp.bench.measurement import ChainCost, ModeCost, measure_chain
from tokimp.bench.reuse_modes import Reading, ReuseMode
from tokimp.contracts.objective import Joint
from tokimp.models.causal_lm import CausalLMScorer
from tokimp.testing.reference import random_chain

CHAIN = random_chain(prompt=4, reasoning=9, answer=3)


def by_mode(cost: ChainCost) -> dict[ReuseMode, ModeCost]:
    """Return a chain's modes by name."""
    return {entry.mode: entry for entry in cost.modes}


@pytest.mark.parametrize("keep_ratio", [0.0, 0.5])
def test_all_modes_are_measured_and_the_exact_ones_agree(scorer: CausalLMScorer, keep_ratio: float) -> None:
    """From scratch reads what was counted beforehand, every reuse reads less, and all exact modes find one order."""
    modes = by_mode(measure_chain(scorer, CHAIN, Joint(), keep_ratio=keep_ratio))
    assert list(modes) == list(ReuseMode)
    assert modes[ReuseMode.FROM_SCRATCH].positions == from_scratch_positions(CHAIN, keep_ratio)
    positions = [mode.positions for mode in modes.values()]
    assert all(position is not None for position in positions)
    assert positions[0] > positions[1] > positions[2]  # type: ignore[operator] # not None, see above
    for mode in (ReuseMode.FROM_SCRATCH, ReuseMode.WITHIN_STEPS, ReuseMode.BETWEEN_STEPS):
        near = modes[mode].fidelity
        assert near is not None
        assert near.same_order
        assert near.mean_gap == pytest.approx(0, abs=1e-4)
        assert near.kept_overlap == 1
    for cost in modes.values():
        assert cost.seconds is not None
        assert cost.operations is not None
        assert cost.memory is not None
        assert cost.calls is not None
        assert cost.bytes_moved is not None
        assert min(cost.seconds, cost.operations, cost.memory, cost.calls, cost.bytes_moved) > 0
        assert cost.split is not None
        assert cost.seconds == cost.split.total


def test_packs_are_measured_beside_batches(random_scorer: Callable[..., CausalLMScorer]) -> None:
    """Each mode but that from scratch is measured in both readings: one order, and fewer calls in packs."""
    scorer = random_scorer("llama", packed=True)
    longer = random_chain(prompt=4, reasoning=12, answer=3)
    cost = measure_chain(scorer, longer, Joint(), readings=list(Reading))
    assert [(entry.mode, entry.reading) for entry in cost.modes] == [
        (ReuseMode.FROM_SCRATCH, Reading.BATCHES),
        *((mode, reading) for mode in list(ReuseMode)[1:] for reading in Reading),
    ]
    measured = {(entry.mode, entry.reading): entry for entry in cost.modes}
    for mode in (ReuseMode.WITHIN_STEPS, ReuseMode.BETWEEN_STEPS):
        batches, packs = (measured[mode, reading] for reading in Reading)
        assert packs.fidelity is not None
        assert packs.fidelity.same_order
        assert packs.positions is not None
        assert packs.positions <= (batches.positions or 0)
    # One call reads the chain, and then each step takes one.
    assert (measured[ReuseMode.BETWEEN_STEPS, Reading.PACKS].calls or 99) <= 12 * 1.2 + 1
    assert measured[ReuseMode.BETWEEN_STEPS, Reading.PACKS].positions_a_call is not None


def test_packs_of_a_scorer_that_reads_batches_are_skipped(scorer: CausalLMScorer) -> None:
    """The reason names the remedy, and nothing else is left out."""
    cost = measure_chain(scorer, CHAIN, Joint(), modes=[ReuseMode.BETWEEN_STEPS], readings=list(Reading))
    batches, packs = cost.modes
    assert batches.seconds is not None
    assert "load it with packed=True" in packs.skipped


def test_what_would_not_end_within_the_budget_is_skipped_and_said(scorer: CausalLMScorer) -> None:
    """Nothing is pruned without a budget; each mode says what was expected and what was left."""
    said: list[str] = []
    cost = measure_chain(scorer, CHAIN, Joint(), budget=1e-9, say=said.append)
    assert len(said) == 4
    for entry in cost.modes:
        assert "expected" in entry.skipped
        assert (entry.seconds, entry.positions, entry.fidelity) == (None, None, None)
        assert entry.expected_seconds is not None
        assert any(f"{entry.mode} skipped: {entry.skipped}" in line for line in said)


@pytest.mark.slow
def test_an_architecture_without_a_shared_prefix_is_measured_from_scratch(
    random_scorer: Callable[..., CausalLMScorer],
) -> None:
    """A recurrent model is measured in the modes that it allows, and the others say why they are not possible."""
    modes = by_mode(measure_chain(random_scorer("mamba"), random_chain(prompt=4, reasoning=5, answer=3), Joint()))
    assert modes[ReuseMode.FROM_SCRATCH].seconds is not None
    assert modes[ReuseMode.FAST].seconds is not None
    for mode in (ReuseMode.WITHIN_STEPS, ReuseMode.BETWEEN_STEPS):
        assert "cannot be cut back" in modes[mode].skipped
        assert modes[mode].expected_seconds is None
