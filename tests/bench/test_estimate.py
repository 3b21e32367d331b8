"""Positions that a pruning will read, estimated before it runs."""

from __future__ import annotations

import pytest

from tokimp.bench.estimate import expected_positions
from tokimp.bench.reuse_modes import ReuseMode, estimator_for, scorer_for
from tokimp.contracts.objective import Joint
from tokimp.models.causal_lm import CausalLMScorer
from tokimp.testing.reference import random_chain


@pytest.mark.parametrize("mode", ReuseMode)
def test_expected_positions_are_near_those_passed(scorer: CausalLMScorer, mode: ReuseMode) -> None:
    """What is expected before a run is within a third of what the run then reads."""
    estimator = estimator_for(mode, 0.0)
    own = scorer_for(mode, scorer)
    longer = random_chain(prompt=4, reasoning=40, answer=3)
    estimator.estimate(longer, own, Joint())
    expected = expected_positions(mode, longer, 0.0, estimator, Joint(), shares=True)
    assert own.tokens_forwarded * 2 / 3 < expected < own.tokens_forwarded * 3 / 2
