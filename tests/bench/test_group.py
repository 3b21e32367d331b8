"""Several chains measured at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tokimp.bench.group import GroupCost, measure_group, measure_group_and_chains
from tokimp.bench.measurement import ChainCost
from tokimp.bench.reuse_modes import Reading, ReuseMode
from tokimp.contracts.objective import Joint
from tokimp.errors import UnsupportedError
from tokimp.models.causal_lm import CausalLMScorer
from tokimp.testing.reference import random_chain

CHAINS = [random_chain(prompt=4, reasoning=8, answer=3, seed=seed) for seed in range(3)]


def test_chains_at_once_share_calls_and_nothing_else(random_scorer: Callable[..., CausalLMScorer]) -> None:
    """A group reads as many positions as its chains one by one, in fewer calls, in every mode but from scratch."""
    scorer = random_scorer("llama", packed=True)
    *alone, group = measure_group_and_chains(scorer, CHAINS, Joint())
    assert isinstance(group, GroupCost)
    assert (group.chain_ids, group.reasoning_tokens) == (tuple(chain.chain.id for chain in CHAINS), (8, 8, 8))
    assert [cost.mode for cost in group.modes] == [ReuseMode.WITHIN_STEPS, ReuseMode.BETWEEN_STEPS, ReuseMode.FAST]
    for cost in group.modes:
        single = [
            one for chain in alone if isinstance(chain, ChainCost) for one in chain.modes if one.mode is cost.mode
        ]
        assert {one.reading for one in single} == {cost.reading} == {Reading.PACKS}
        assert cost.positions == sum(one.positions or 0 for one in single)
        assert cost.operations == sum(one.operations or 0 for one in single)
        assert cost.calls is not None
        assert cost.calls * 2 < sum(one.calls or 0 for one in single)
        assert cost.expected_seconds == sum(one.seconds or 0 for one in single)
        assert cost.seconds == cost.split.total if cost.split else False


def test_one_chain_makes_no_group(scorer: CausalLMScorer) -> None:
    """A single chain is measured by itself only."""
    (cost,) = measure_group_and_chains(scorer, CHAINS[:1], Joint(), modes=[ReuseMode.FROM_SCRATCH])
    assert isinstance(cost, ChainCost)


def test_a_group_that_the_budget_does_not_allow_is_skipped(random_scorer: Callable[..., CausalLMScorer]) -> None:
    """Every mode says what was expected of it."""
    *_, group = measure_group_and_chains(random_scorer("llama", packed=True), CHAINS, Joint(), budget=1e-9)
    assert all("expected" in cost.skipped and cost.seconds is None for cost in group.modes)


def test_batches_are_not_shared(scorer: CausalLMScorer) -> None:
    """A scorer that reads batches is refused, with its reason and the remedy."""
    with pytest.raises(UnsupportedError, match=r"batches of rows of one length.*packed=True"):
        measure_group(scorer, CHAINS, Joint(), alone=())
