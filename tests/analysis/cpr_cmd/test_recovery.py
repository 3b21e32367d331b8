"""The recovery curve of a set of chains: its areas, and what leaving out each chain says of differences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tokimp.analysis.cpr_cmd.recovery import AREAS, Recovery
from tokimp.analysis.statistics.intervals import mean_interval, mean_p_value
from tokimp.chains.arrays import FloatArray

SHARES = np.array([0.0, 0.1, 0.5, 1.0])


def drawn(n_chains: int) -> tuple[Recovery, list[FloatArray]]:
    """Return chains whose reasoning is worth about a tenth of a nat each, and the measure by three orders."""
    rng = np.random.default_rng(n_chains)
    empty = rng.normal(size=n_chains)
    full = empty + 0.05 + 0.1 * rng.random(n_chains)
    orders: list[FloatArray] = [
        empty + (full - empty) * rng.uniform(-0.2, 1.4, size=(len(SHARES), n_chains)) for _ in range(3)
    ]
    return Recovery(SHARES, empty, full), orders


def slow_area(area: str, recovery: Recovery, kept: FloatArray, chains: Sequence[int]) -> float:
    """Return an area of some chains, by trapezoids one after the other."""
    there = sum(recovery.full[chain] - recovery.empty[chain] for chain in chains)
    curve = [sum(row[chain] - recovery.empty[chain] for chain in chains) / there for row in kept]
    heights = curve if area == "cpr" else [abs(1 - value) for value in curve]
    return float(sum((heights[i] + heights[i + 1]) / 2 * (SHARES[i + 1] - SHARES[i]) for i in range(len(SHARES) - 1)))


@pytest.mark.parametrize("area", AREAS)
@pytest.mark.parametrize("n_others", [0, 2])
def test_a_difference_has_the_interval_and_the_p_value_of_a_slow_jackknife(area: str, n_others: int) -> None:
    """Areas with one chain left out, one by one, make the pseudo-values, moved to the difference itself."""
    n = 6
    recovery, (kept, *others) = drawn(n)
    others = others[:n_others]

    def difference(chains: list[int]) -> float:
        own = slow_area(area, recovery, kept, chains)
        return own - (float(np.mean([slow_area(area, recovery, other, chains) for other in others])) if others else 0)

    value = difference(list(range(n)))
    without = np.array([difference([chain for chain in range(n) if chain != left]) for left in range(n)])
    pseudo = n * value - (n - 1) * without
    moved = pseudo - pseudo.mean() + value
    found, expected = recovery.difference(area, kept, others, 0.8), mean_interval(moved, confidence=0.8)
    assert (found.interval.mean, found.interval.low, found.interval.high) == pytest.approx(
        (value, expected.low, expected.high)
    )
    assert found.p_value == pytest.approx(mean_p_value(moved))


def test_one_chain_has_an_area_and_nothing_that_says_how_far_it_may_be_trusted() -> None:
    """There is nothing to leave out."""
    recovery, (kept, other, _) = drawn(1)
    found = recovery.difference("cpr", kept, [other], 0.95)
    assert found.interval.mean == pytest.approx(
        slow_area("cpr", recovery, kept, [0]) - slow_area("cpr", recovery, other, [0])
    )
    assert np.isnan([found.interval.low, found.interval.high, found.p_value]).all()


def test_reasoning_that_is_worth_nothing_has_no_curve() -> None:
    """Where the mean of the full chains is not above that of the empty ones there is nothing to recover."""
    recovery = Recovery(SHARES, np.zeros(2), np.array([0.5, -0.5]))
    kept = np.ones((len(SHARES), 2))
    curve = recovery.curve(kept, np.array([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0]]))
    assert np.isnan(curve[[0, 2]]).all()
    assert curve[1].tolist() == [2.0] * len(SHARES)
