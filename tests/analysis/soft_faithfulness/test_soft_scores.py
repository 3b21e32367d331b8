"""The formulas of Soft-NS and Soft-NC, and the noise they rest on."""

from __future__ import annotations

import numpy as np
import pytest

from tokimp.analysis.soft_faithfulness.soft_scores import noise, perturbed, soft_scores

EMBEDDINGS = np.arange(1.0, 13.0).reshape(4, 3)


def test_the_scores_by_hand() -> None:
    """With p .9, p' .7, p'' .4 and p0 .3, S' is .8 and S0 .4, so that NS is 2/3 and NC 5/6."""
    sufficiency, comprehensiveness = soft_scores(*map(np.array, (0.9, 0.3, 0.7, 0.4)))
    s, s_zero = 1 - max(0, 0.9 - 0.7), 1 - max(0, 0.9 - 0.3)
    assert float(sufficiency) == pytest.approx((s - s_zero) / (1 - s_zero)) == pytest.approx(2 / 3)
    assert float(comprehensiveness) == pytest.approx(max(0, 0.9 - 0.4) / (1 - s_zero)) == pytest.approx(5 / 6)


def test_both_scores_are_cut_and_are_nan_without_a_difference() -> None:
    """A version likelier than the full input loses nothing, one likelier than nothing loses all, and p0 >= p is NaN."""
    sufficiency, comprehensiveness = soft_scores(
        np.array(0.5), np.array(0.2), np.array([0.9, 0.1]), np.array([0.9, 0.1])
    )
    assert sufficiency.tolist() == [1, 0]
    assert comprehensiveness.tolist() == [0, 1]
    assert np.isnan(soft_scores(*map(np.array, (0.5, 0.5, 0.4, 0.4)))).all()


def test_shares_of_none_and_all_are_hard_masks() -> None:
    """A token of share 1 stays whole in the first and goes whole in the second; one of share 0 the other way round."""
    shares = np.array([1.0, 0.0, 1.0, 0.0])
    kept, left = perturbed(EMBEDDINGS, np.full(3, -1.0), shares, noise("c", 0, EMBEDDINGS.shape, 0))
    np.testing.assert_array_equal(kept[[0, 2]], EMBEDDINGS[[0, 2]])
    np.testing.assert_array_equal(left[[1, 3]], EMBEDDINGS[[1, 3]])
    assert (kept[[1, 3]] == -1).all()
    assert (left[[0, 2]] == -1).all()


def test_coordinates_stay_as_often_as_their_share() -> None:
    """Over many draws a coordinate stays with its token's share as frequency, and goes with it in the other version."""
    shares, wide = np.array([0.25, 0.8]), np.ones((2, 2000))
    counts = [perturbed(wide, np.zeros(2000), shares, noise("c", draw, wide.shape, 0)) for draw in range(5)]
    kept, left = (np.mean([pair[side] for pair in counts], axis=(0, 2)) for side in (0, 1))
    np.testing.assert_allclose(kept, shares, atol=0.02)
    np.testing.assert_allclose(left, 1 - shares, atol=0.02)


def test_noise_depends_on_seed_chain_and_draw_alone() -> None:
    """The same is drawn again, and anything else is drawn for another chain, draw, seed or side."""
    first = noise("c", 0, (2, 3), 0)
    np.testing.assert_array_equal(first, noise("c", 0, (2, 3), 0))
    others = [noise("d", 0, (2, 3), 0), noise("c", 1, (2, 3), 0), noise("c", 0, (2, 3), 1), first[::-1]]
    assert all((np.array(first) != np.array(other)).all() for other in others)
