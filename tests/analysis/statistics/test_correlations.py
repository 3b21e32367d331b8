"""Correlations over the units of several chains: against slow twins, and what levels and position do to them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tokimp.analysis.statistics.correlations import associate, pooled_pearson, pooled_spearman
from tokimp.analysis.statistics.intervals import CORRELATION, mean_interval
from tokimp.chains.arrays import FloatArray, IntArray

POOLED, WITHIN = 0, 1
QUICK = 0.95
VALUES = st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=1, max_size=7)


def sides(chains: list[list[tuple[int, int]]]) -> list[tuple[FloatArray, FloatArray]]:
    """Return the two quantities of each chain."""
    return [(np.array([a for a, _ in chain], float), np.array([b for _, b in chain], float)) for chain in chains]


def whole(chains: Sequence[FloatArray]) -> list[IntArray]:
    """Return the positions of the units of chains all of whose units have a value."""
    return [np.arange(len(values)) for values in chains]


@settings(max_examples=60)
@given(chains=st.lists(VALUES, min_size=1, max_size=4), data=st.data())
def test_resampled_correlations_are_those_of_chains_written_out(
    chains: list[list[tuple[int, int]]], data: st.DataObject
) -> None:
    """Counting a chain as often as it was drawn is the same as writing it down as often, ties included."""
    assert_as_written_out(
        chains, data.draw(st.lists(st.integers(0, 3), min_size=len(chains), max_size=len(chains)).filter(any))
    )


def test_a_draw_of_constant_chains_has_no_correlation() -> None:
    """That all chains together are centred elsewhere leaves nothing but rounding, which is none."""
    assert_as_written_out([[(0, 0)], [(0, 0)], [(0, 0), (0, 0), (0, 0), (1, 1)], [(0, 0)]], [0, 0, 0, 3])


def assert_as_written_out(chains: list[list[tuple[int, int]]], drawn: list[int]) -> None:
    """Check both correlations of a draw against scipy's of its chains, each written down as often as it was drawn."""
    pairs = sides(chains)
    a, b = (np.concatenate([np.tile(pair[side], n) for pair, n in zip(pairs, drawn, strict=True)]) for side in (0, 1))
    weights = np.array([drawn], dtype=float)
    for found, slow in ((pooled_pearson, stats.pearsonr), (pooled_spearman, stats.spearmanr)):
        (value,) = found(pairs, weights)
        if np.ptp(a) and np.ptp(b):
            assert value == pytest.approx(float(slow(a, b).statistic), abs=1e-6)
        else:
            assert np.isnan(value)


def test_levels_of_chains_make_pooled_correlations_and_no_others() -> None:
    """Where only the level of a chain is predicted, all units together correlate, and within chains nothing does."""
    generator = np.random.default_rng(0)
    levels = np.arange(12) * 10.0
    one = [level + generator.normal(size=30) for level in levels]
    other = [level + generator.normal(size=30) for level in levels]
    values = associate(one, other, whole(one), QUICK).values
    assert (values[:, POOLED, 0, 0] > 0.9).all()
    assert (np.abs(values[:, WITHIN, 0, 0]) < 0.2).all()
    assert (np.abs(values[:, :, 1, 0]) < 0.2).all()


def test_what_follows_position_alone_is_nothing_beyond_it() -> None:
    """Two quantities that rise along the chain correlate; their residuals do not."""
    generator = np.random.default_rng(1)
    one, other = ([np.arange(40) + generator.normal(size=40) for _ in range(8)] for _ in range(2))
    values = associate(one, other, whole(one), QUICK).values
    assert (values[:, :, 0, 0] > 0.9).all()
    assert (np.abs(values[:, :, 1, 0]) < 0.2).all()


def test_partial_correlation_is_the_textbook_formula() -> None:
    """Within a chain it is (r_ab - r_ap r_bp) / sqrt((1 - r_ap^2)(1 - r_bp^2)), by values and by ranks."""
    a, b = np.random.default_rng(2).normal(size=(2, 25))
    found = associate([a], [b], whole([a]), QUICK).by_chain
    for measure, statistic in ((0, stats.pearsonr), (1, stats.spearmanr)):
        ab, ap, bp = (float(statistic(x, y).statistic) for x, y in ((a, b), (a, range(25)), (b, range(25))))
        expected = (ab - ap * bp) / np.sqrt((1 - ap**2) * (1 - bp**2))
        assert found[measure, 0, 0] == pytest.approx(ab)
        assert found[measure, 1, 0] == pytest.approx(expected)


def test_units_stand_where_they_stand_in_the_whole_chain() -> None:
    """Of units with gaps between them, position is that in the chain: values and ranks are regressed on it."""
    generator = np.random.default_rng(4)
    positions = np.array([0, 1, 2, 9, 30, 31, 40])
    a, b = generator.normal(size=(2, 7)) + 0.1 * positions
    found = associate([a], [b], [positions], QUICK)
    design = np.stack([np.ones(7), positions], axis=1)
    for measure, transform in ((0, np.asarray), (1, stats.rankdata)):
        left = [transform(x) - design @ np.linalg.lstsq(design, transform(x), rcond=None)[0] for x in (a, b)]
        assert found.by_chain[measure, 1, 0] == pytest.approx(stats.pearsonr(*left).statistic)
    assert found.by_chain[0, 1, 0] != pytest.approx(associate([a], [b], whole([a]), QUICK).by_chain[0, 1, 0], abs=0.01)


def test_three_units_have_no_correlation_given_position() -> None:
    """It could only be 1 or -1; as they are, three units are compared if they are allowed to be."""
    a, b = np.array([1.0, 5, 2]), np.array([2.0, 1, 7])
    found = associate([a], [b], whole([a]), QUICK, minimum_units=3).by_chain
    assert np.isfinite(found[:, 0]).all()
    assert np.isnan(found[:, 1]).all()


def test_where_nothing_varies_nothing_is_said() -> None:
    """Constants, exact lines once position is out, short chains: NaN, and no warning; one chain has no interval."""
    line = np.arange(6.0)
    values = associate([line * 1e6 + 0.1], [line[::-1] / 3], whole([line]), QUICK).values
    assert values[:, :, 0, 0] == pytest.approx(-1)
    assert np.isnan(values[:, :, 1]).all()
    assert np.isnan(values[..., 1:]).all()
    assert np.isnan(associate([np.ones(6)], [line], whole([line]), QUICK).values).all()
    short = associate([line[:4]], [line[:4] ** 2], whole([line[:4]]), QUICK)
    assert np.isnan(short.by_chain).all()
    assert np.isfinite(short.values[:, POOLED, 0, 0]).all()


def test_the_interval_of_a_pooled_correlation_leaves_out_whole_chains() -> None:
    """Chains that are copies of one another say nothing of spread; the interval of different ones holds the value."""
    generator = np.random.default_rng(3)
    a, b = generator.normal(size=(2, 20))
    same = associate([a] * 4, [b] * 4, whole([a] * 4), QUICK).values[0, POOLED, 0]
    assert np.isfinite(same[0])
    assert np.isnan(same[1:]).all()
    one = [generator.normal(size=20) for _ in range(9)]
    other = [values + generator.normal(size=20) for values in one]
    value, low, high = associate(one, other, whole(one), QUICK).values[0, POOLED, 0]
    assert low < value < high


def test_pooled_values_are_scipys_by_measure_and_within_have_the_confidence_asked_for() -> None:
    """Of curved data Pearson and Spearman differ, and both are of all units together; five units are enough within."""
    generator = np.random.default_rng(6)
    one = [generator.normal(size=5) for _ in range(6)]
    other = [np.exp(2 * values) + 0.1 * generator.normal(size=5) for values in one]
    found = associate(one, other, whole(one), 0.6)
    a, b = np.concatenate(one), np.concatenate(other)
    expected = [float(stats.pearsonr(a, b).statistic), float(stats.spearmanr(a, b).statistic)]
    assert found.values[:, POOLED, 0, 0].tolist() == pytest.approx(expected)
    assert expected[1] - expected[0] > 0.1
    for measure in (0, 1):
        interval = mean_interval(found.by_chain[measure, 0], confidence=0.6, bounds=CORRELATION)
        assert found.values[measure, WITHIN, 0].tolist() == [interval.mean, interval.low, interval.high]


def test_a_level_far_from_0_costs_no_digits() -> None:
    """Quantities that vary by one around a thousand million correlate as they do around 0."""
    generator = np.random.default_rng(7)
    pairs = [(a, a + generator.normal(size=9)) for a in generator.normal(size=(4, 9))]
    weights = np.array([[1.0, 1, 1, 1], [0, 1, 1, 1]])
    far = [(a + 1e9, b - 1e9) for a, b in pairs]
    np.testing.assert_allclose(pooled_pearson(far, weights), pooled_pearson(pairs, weights), atol=1e-5)
