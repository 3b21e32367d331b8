"""Limits of the area over the perturbation curve: both searches against every permutation."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import numpy as np
import pytest

from tokimp.analysis.naopc.limits import Limits, beam_limits, exact_limits
from tokimp.chains.arrays import FloatArray


class Game:
    """A random drop for every removal set, which counts how many it was asked for."""

    def __init__(self, n_units: int, seed: int) -> None:
        self.drop = np.random.default_rng([n_units, seed]).normal(size=1 << n_units)
        self.drop[0] = 0
        self.n_units, self.asked = n_units, 0

    def __call__(self, removed: Sequence[int]) -> FloatArray:
        """Return the drops."""
        self.asked += len(removed)
        values: FloatArray = self.drop[list(removed)]
        return values

    def over_all_orders(self) -> Limits:
        """Return the limits by trying every order."""
        areas = []
        for order in permutations(range(self.n_units)):
            removed = [sum(1 << unit for unit in order[: size + 1]) for size in range(self.n_units)]
            areas.append(self.drop[removed].mean())
        return Limits(min(areas), max(areas))


def assert_same(one: Limits, other: Limits) -> None:
    """Compare two pairs of limits to 1e-12."""
    np.testing.assert_allclose([one.lower, one.upper], [other.lower, other.upper], rtol=0, atol=1e-12)


@pytest.mark.parametrize("n_units", range(1, 7))
@pytest.mark.parametrize("seed", range(5))
def test_dynamic_programming_and_a_wide_beam_are_every_order(n_units: int, seed: int) -> None:
    """Of random games of up to six units, both give the best and the worst of all permutations."""
    game = Game(n_units, seed)
    assert_same(exact_limits(n_units, game), game.over_all_orders())
    # The beam holds all sets of three out of six units, so merging loses nothing.
    assert_same(beam_limits(n_units, game, beam=20), game.over_all_orders())


@pytest.mark.parametrize("beam", [1, 2, 5])
def test_a_narrow_beam_stays_inside_and_within_its_cost(beam: int) -> None:
    """Its upper limit is at most the true one, its lower one at least, and it asks for no more than it says."""
    n_units, missed = 9, 0
    for seed in range(10):
        game = Game(n_units, seed)
        found = beam_limits(n_units, game, beam)
        assert game.asked <= beam * n_units * (n_units + 1)
        exact = exact_limits(n_units, game)
        assert exact.lower <= found.lower + 1e-12 <= found.upper + 2e-12 <= exact.upper + 3e-12
        missed += found.width < exact.width - 1e-9
    assert missed or beam > 1


def test_a_beam_of_one_is_greedy_pruning() -> None:
    """The lower limit of the narrowest beam is the area of the order that takes the least drop at each step."""
    game, removed, drops = Game(7, 0), 0, []
    for _ in range(7):
        choices = [removed | 1 << unit for unit in range(7) if not removed >> unit & 1]
        removed = min(choices, key=lambda choice: game.drop[choice])
        drops.append(game.drop[removed])
    assert beam_limits(7, game, beam=1).lower == pytest.approx(np.mean(drops))


def test_every_set_is_asked_for_once_by_the_exact_limits() -> None:
    """The dynamic programme needs each version of the chain once."""
    game = Game(6, 1)
    exact_limits(6, game)
    assert game.asked == 64


def test_chains_longer_than_a_machine_word() -> None:
    """Removal sets of 70 units are whole numbers of any size: an additive game has the limits of its sorted drops."""
    drop = np.random.default_rng(0).normal(size=70)

    def drops(removed: Sequence[int]) -> FloatArray:
        return np.array([sum(drop[unit] for unit in range(70) if bits >> unit & 1) for bits in removed])

    found = beam_limits(70, drops, beam=1)
    lower, upper = (np.cumsum(ordered).mean() for ordered in (np.sort(drop), np.sort(drop)[::-1]))
    assert (found.lower, found.upper) == pytest.approx((lower, upper))
