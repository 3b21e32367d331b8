"""What random rankings have in common, with position partialled out."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from tokimp.analysis.statistics.chance_overlap import chance_overlap_shares, chance_overlap_shares_given_position
from tokimp.analysis.statistics.rank_measures import overlap_shares, position_residuals


@pytest.mark.parametrize("n", [4, 5])
def test_few_units_are_as_in_all_pairs_of_rankings(n: int) -> None:
    """The shares are the means over every pair of rankings of which something is left given position."""
    rows = [position_residuals(np.array(order, dtype=float)) for order in permutations(range(n))]
    rows = [row for row in rows if np.ptp(row) > 0]
    slow = np.mean([overlap_shares(one, other) for one in rows for other in rows], axis=0)
    np.testing.assert_allclose(chance_overlap_shares_given_position(n), slow)


@pytest.mark.parametrize("n", [8, 30])
def test_more_units_are_as_in_other_random_rankings(n: int) -> None:
    """The drawn shares are those of pairs of rankings from another seed, and more than without a regression."""
    generator = np.random.default_rng(1)
    rows = [position_residuals(generator.permutation(n).astype(float)) for _ in range(2000)]
    slow = np.mean([overlap_shares(one, other) for one, other in zip(rows[::2], rows[1::2], strict=True)], axis=0)
    shares = chance_overlap_shares_given_position(n)
    assert np.abs(shares - slow).max() < 0.04
    assert np.abs(shares - slow)[n // 5 :].max() < 0.02
    assert shares[0] > chance_overlap_shares(n)[0]
    assert shares[-1] == pytest.approx(1)


def test_where_nothing_can_be_compared_there_is_no_chance() -> None:
    """Three units have no correlation given position; in long chains the regression changes nothing."""
    assert np.isnan(chance_overlap_shares_given_position(3)).all()
    np.testing.assert_array_equal(chance_overlap_shares_given_position(300), chance_overlap_shares(300))
