"""What a run would take at least, by arithmetic, memory and calls."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tokimp.bench.roofline import RooflineShares, TrafficSize, memory_rate, seconds_of_a_call
from tokimp.models.causal_lm import CausalLMScorer
from tokimp.models.forward_work import ForwardWork


@pytest.mark.parametrize(
    ("shares", "bound"),
    [
        (RooflineShares(0.6, 0.2, 0.1), "arithmetic"),
        (RooflineShares(0.2, 0.6, 0.1), "memory"),
        (RooflineShares(0.1, 0.2, 0.6), "starting calls and Python"),
    ],
)
def test_the_largest_share_bounds_a_run(shares: RooflineShares, bound: str) -> None:
    """The sentence names what would take longest by itself, its share, and the shares of the others."""
    assert shares.bound == bound
    sentence = shares.sentence()
    assert sentence.startswith(f"bound by {bound}, which alone would take 60% of the time (")
    assert all(f" {share}%" in sentence for share in (60, 20, 10))
    assert sentence.count(bound) == 1


def test_a_run_far_from_every_limit_is_not_called_bound() -> None:
    """Where no limit would take a third of the time, the sentence names the first and says where the rest goes."""
    sentence = RooflineShares(0.1, 0.2, 0.3).sentence()
    assert sentence.startswith("far from every limit, starting calls and Python first with 30% of the time (")
    assert "bound by" not in sentence


def test_only_arithmetic_and_memory_make_the_roofline() -> None:
    """The rate that a run reaches is the larger of the two shares; the cost of calls is no part of it."""
    assert RooflineShares(0.1, 0.3, 0.9).roofline == 0.3


def test_traffic_by_hand(scorer: CausalLMScorer) -> None:
    """A llama of known sizes moves its weights once a call, and for each position the ends of all its products."""
    hidden, inner, keys, layers, vocabulary, floats = 32, 48, 16, 3, 300, 4
    products = [(hidden, hidden), (hidden, keys), (hidden, keys), (hidden, hidden)]
    products += [(hidden, inner), (hidden, inner), (inner, hidden)]
    norms = layers * 2 * hidden + hidden
    traffic = TrafficSize.of(scorer)
    assert traffic.trunk_weights == floats * (layers * sum(one * other for one, other in products) + norms)
    assert traffic.projection_weights == floats * vocabulary * hidden
    assert traffic.position == floats * layers * (sum(map(sum, products)) + 2 * 2 * keys)
    assert traffic.scored_position == 2 * floats * vocabulary
    work = ForwardWork(calls=9, positions=7, scored=2)
    weights = traffic.trunk_weights + traffic.projection_weights
    assert traffic.bytes_moved(work, calls=3) == 3 * weights + 7 * traffic.position + 2 * traffic.scored_position
    assert traffic.bytes_moved(ForwardWork(positions=7), calls=1) == traffic.trunk_weights + 7 * traffic.position


def test_a_copy_has_a_rate() -> None:
    """The memory of the CPU reads and writes more than a megabyte and less than a hundred terabytes a second."""
    assert 1e6 < memory_rate("cpu") < 1e14


@pytest.mark.parametrize("reading", ["batches", "packs"])
def test_a_call_of_one_position_is_timed_in_either_reading(
    random_scorer: Callable[..., CausalLMScorer], reading: str
) -> None:
    """The call goes the way in which the scorer reads: one position each time."""
    own = random_scorer("llama", packed=reading == "packs").reusing(reuse_kv=True)
    assert own.decoder.reads_packs == (reading == "packs")
    assert seconds_of_a_call(own) > 0
    assert own.work.calls == own.tokens_forwarded > 1
    assert own.work.scored == own.work.calls
