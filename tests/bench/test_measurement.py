"""Measuring prunings: counts that can be worked out, a budget that is kept, ways that agree."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tokimp.bench import Bench, ChainCost, Fidelity, MatmulRate, Way, WayCost, matmul_rates, measure_chain, surroundings
from tokimp.bench.estimate import expected_positions, from_scratch_positions
from tokimp.bench.fidelity import fidelity
from tokimp.bench.reuse_modes import estimator_for, scorer_for
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.estimator import Importance, Trajectory
from tokimp.contracts.objective import Answer, Joint
from tokimp.errors import EstimatorError, PluginError
from tokimp.models.causal_lm import CausalLMScorer
from tokimp.models.loading import load_scorer
from tokimp.testing.random_models import byte_tokenizer, random_model
from tokimp.testing.reference import random_chain


@cache
def scorer(architecture: str = "llama") -> CausalLMScorer:
    """Return a scorer of a small model with random weights, for whose batches calls cost nothing."""
    loaded = load_scorer(random_model(architecture), "nnsight", device="cpu", tokenizer=byte_tokenizer())
    assert isinstance(loaded, CausalLMScorer)
    loaded.call_cost = 0
    return loaded


def chain(units: int = 9) -> TokenizedChain:
    """Return a chain of random ids whose units are single tokens."""
    return random_chain(prompt=4, reasoning=units, answer=3)


def by_way(cost: ChainCost) -> dict[Way, WayCost]:
    """Return a chain's ways by name."""
    return {way.way: way for way in cost.ways}


@pytest.mark.parametrize("keep_ratio", [0.0, 0.5])
def test_all_ways_are_measured_and_the_exact_ones_agree(keep_ratio: float) -> None:
    """From scratch reads what was counted beforehand, every reuse reads less, and all exact ways find one order."""
    ways = by_way(measure_chain(scorer(), chain(), Joint(), keep_ratio=keep_ratio))
    assert list(ways) == list(Way)
    assert ways[Way.FROM_SCRATCH].positions == from_scratch_positions(chain(), keep_ratio)
    positions = [way.positions for way in ways.values()]
    assert all(position is not None for position in positions)
    assert positions[0] > positions[1] > positions[2]  # type: ignore[operator] # not None, see above
    for way in (Way.FROM_SCRATCH, Way.WITHIN_STEPS, Way.BETWEEN_STEPS):
        found = ways[way].fidelity
        assert found is not None
        assert found.same_order
        assert found.mean_gap == pytest.approx(0, abs=1e-4)
        assert found.kept_overlap == 1
    for cost in ways.values():
        assert cost.seconds is not None
        assert cost.operations is not None
        assert cost.memory is not None
        assert min(cost.seconds, cost.operations, cost.memory) > 0


@pytest.mark.parametrize("way", Way)
def test_expected_positions_are_near_those_passed(way: Way) -> None:
    """What is expected before a run is within a third of what the run then reads."""
    estimator = estimator_for(way, 0.0)
    own = scorer_for(way, scorer())
    longer = chain(40)
    estimator.estimate(longer, own, Joint())
    expected = expected_positions(way, longer, 0.0, estimator, Joint(), shares=True)
    assert own.tokens_forwarded * 2 / 3 < expected < own.tokens_forwarded * 3 / 2


def test_what_would_not_end_within_the_budget_is_skipped_and_said() -> None:
    """Nothing is pruned without a budget; each way says what was expected and what was left."""
    said: list[str] = []
    cost = measure_chain(scorer(), chain(), Joint(), budget=1e-9, say=said.append)
    assert len(said) == 4
    for way in cost.ways:
        assert "expected" in way.skipped
        assert (way.seconds, way.positions, way.fidelity) == (None, None, None)
        assert way.expected_seconds is not None
        assert any(f"{way.way} skipped: {way.skipped}" in line for line in said)


def test_an_architecture_without_a_shared_prefix_is_measured_from_scratch() -> None:
    """A recurrent model is measured in the ways that it allows, and the others say why they are not possible."""
    ways = by_way(measure_chain(scorer("mamba"), chain(5), Joint()))
    assert ways[Way.FROM_SCRATCH].seconds is not None
    assert ways[Way.FAST].seconds is not None
    for way in (Way.WITHIN_STEPS, Way.BETWEEN_STEPS):
        assert "cannot be cut back" in ways[way].skipped
        assert ways[way].expected_seconds is None


def test_another_estimator_can_be_the_fast_way() -> None:
    """The specification of the fast way is used, with the keep ratio; one that takes no keep ratio is refused."""
    estimator = estimator_for(Way.FAST, 0.25, "greedy:strategy=fast,beam=3")
    assert estimator.parameters() | {"keep_ratio": 0.25, "beam": 3, "strategy": "fast"} == estimator.parameters()
    with pytest.raises((PluginError, EstimatorError)):
        estimator_for(Way.FAST, 0.25, "attention")


def pruning(order: list[int], joint: list[float]) -> Importance:
    """Return a run that deleted units in an order, with likelihoods that are all of the reasoning's."""
    steps = np.empty(len(order), dtype=np.int64)
    steps[order] = np.arange(len(order))
    values = np.array(joint)
    return Importance(
        steps.astype(float), steps, Trajectory(joint=values, answer=np.zeros(len(joint)), reasoning=values)
    )


def test_fidelity_by_hand() -> None:
    """Two runs of four units: the gap is a mean over steps, the overlap one of the halves kept."""
    exact = pruning([0, 1, 2, 3], [-2.0, -4.0, -6.0, -1.0])
    found = fidelity(pruning([0, 2, 1, 3], [-2.0, -5.0, -6.0, -2.0]), exact, 0.0, Joint())
    assert found.spearman == pytest.approx(0.8)
    assert (found.same_order, found.mean_gap, found.exact_range) == (False, 0.5, 6.0)
    assert (found.kept_overlap, found.overlap_at) == (0.5, 0.5)


def test_the_gap_is_of_what_the_objective_is_about() -> None:
    """For the answer objective the answer's likelihood is compared, not the joint one."""
    exact = pruning([0, 1], [-2.0, -4.0])
    assert fidelity(pruning([1, 0], [-9.0, -4.0]), exact, 0.0, Answer()).mean_gap == 0


def measured(*costs: ChainCost) -> Bench:
    """Return a benchmark on a device of 100 operations a second."""
    return Bench(surroundings(scorer(), Joint()), {}, (MatmulRate("square", 1, 1, 1, 100.0),), costs)


def test_json_holds_every_number(tmp_path: Path) -> None:
    """The file is read back by the standard library; what is not a number is null, and the share of peak is there."""
    never = Fidelity(True, float("nan"), 0.0, 1.0, 1.0, 0.5)
    ways = (
        WayCost(Way.FAST, seconds=2.0, positions=7, operations=50, memory=1, fidelity=never),
        WayCost(Way.BETWEEN_STEPS),
    )
    measured(ChainCost("c", 1, 2, 3, 2, 10.0, ways)).save(tmp_path / "new" / "bench.json")
    saved: dict[str, Any] = json.loads((tmp_path / "new" / "bench.json").read_text("utf-8"))
    first, second = saved["chains"][0]["ways"]
    assert first["share_of_peak"] == 0.25
    assert first["fidelity"]["spearman"] is None
    assert second["share_of_peak"] is second["seconds"] is None
    assert saved["surroundings"]["model_id"] == scorer().model_id
    assert saved["surroundings"]["threads"] >= 1


def test_matrix_products_are_measured() -> None:
    """A square product and one of the model's shape have positive rates."""
    rates = matmul_rates("cpu", torch.float32, scorer().size, 64)
    assert [rate.name for rate in rates] == ["square", "mlp"]
    assert all(rate.operations_per_second > 0 for rate in rates)
    assert (rates[1].rows, rates[1].inner) == (64, scorer().size.hidden)
