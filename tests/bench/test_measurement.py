"""Measuring prunings: a budget that is kept, and modes that agree."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tokimp.bench.estimate import from_scratch_positions
from tokimp.bench.measurement import ChainCost, ModeCost, measure_chain
from tokimp.bench.reuse_modes import ReuseMode
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
        assert min(cost.seconds, cost.operations, cost.memory) > 0


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


def test_an_architecture_without_a_shared_prefix_is_measured_from_scratch(
    random_scorer: Callable[[str], CausalLMScorer],
) -> None:
    """A recurrent model is measured in the modes that it allows, and the others say why they are not possible."""
    modes = by_mode(measure_chain(random_scorer("mamba"), random_chain(prompt=4, reasoning=5, answer=3), Joint()))
    assert modes[ReuseMode.FROM_SCRATCH].seconds is not None
    assert modes[ReuseMode.FAST].seconds is not None
    for mode in (ReuseMode.WITHIN_STEPS, ReuseMode.BETWEEN_STEPS):
        assert "cannot be cut back" in modes[mode].skipped
        assert modes[mode].expected_seconds is None
