"""Divergences of samples of answers, and what they are for samples of one distribution."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binom
from tokimp_resample.noise_floor import js_divergence, kl_divergence, measure, share_difference, split_half

COUNTS = arrays(np.int64, 5, elements=st.integers(0, 30)).filter(lambda counts: counts.sum() > 0)


@pytest.mark.parametrize(
    ("first", "second", "by_smoothing"),
    [
        ((1, 1), (0, 2), {1e-9: 10.0151, 0.5: 0.2939, 1.0: 0.1438}),
        ((50, 50), (0, 100), {1e-9: 11.9711, 0.5: 1.9635, 1.0: 1.6243}),
        ((60, 40), (50, 50), {1e-9: 0.0201, 0.5: 0.0197, 1.0: 0.0193}),
    ],
)
def test_divergences_of_known_counts(
    first: tuple[int, int], second: tuple[int, int], by_smoothing: dict[float, float]
) -> None:
    """Nine divergences worked out by hand, three of each smoothing."""
    for smoothing, expected in by_smoothing.items():
        assert kl_divergence(np.array(first), np.array(second), smoothing) == pytest.approx(expected, abs=5e-5)


@given(COUNTS, COUNTS, st.sampled_from([1e-9, 0.5, 1.0]))
def test_divergences_are_those_of_their_formulas(first: np.ndarray, second: np.ndarray, smoothing: float) -> None:
    """Written out answer by answer, over the answers that either sample has."""
    there = [v for v in range(5) if first[v] + second[v] > 0]
    p, q = (
        [(counts[v] + smoothing) / (counts.sum() + smoothing * len(there)) for v in there] for counts in (first, second)
    )
    expected = max(0.0, sum(a * np.log(a / b) for a, b in zip(p, q, strict=True)))
    assert kl_divergence(first, second, smoothing) == pytest.approx(expected, abs=1e-9)
    p, q = ([counts[v] / counts.sum() for v in there] for counts in (first, second))
    halves = [
        a * np.log(a / ((a + b) / 2)) if a else 0.0
        for one, other in ((p, q), (q, p))
        for a, b in zip(one, other, strict=True)
    ]
    assert js_divergence(first, second) == pytest.approx(max(0.0, sum(halves) / 2), abs=1e-12)
    assert js_divergence(first, second) == pytest.approx(js_divergence(second, first), abs=1e-12)


SKEWED = [0.9] + [0.02] * 5
UNIFORM = [0.2] * 5


@pytest.mark.parametrize(
    ("shares", "sizes", "smoothing", "mean", "q95"),
    [
        ([0.5, 0.5], (100, 100), 1e-9, 0.0101, 0.0395),
        ([0.5, 0.5], (20, 20), 1e-9, 0.053, 0.19),
        (UNIFORM, (100, 100), 1e-9, 0.041, 0.099),
        (UNIFORM, (100, 40), 1e-9, 0.078, None),
        (SKEWED, (100, 100), 1e-9, 0.311, 1.09),
        (SKEWED, (100, 100), 0.5, 0.044, 0.099),
        (SKEWED, (100, 100), 1.0, 0.033, 0.074),
        (SKEWED, (100, 100), None, 0.0152, None),
    ],
)
def test_the_noise_floor_is_that_of_the_table(
    shares: list[float], sizes: tuple[int, int], smoothing: float | None, mean: float, q95: float | None
) -> None:
    """20,000 pairs of samples of one distribution diverge as in the table; JS is without smoothing."""
    generator = np.random.default_rng(0)
    first, second = (generator.multinomial(size, shares, size=20_000) for size in sizes)
    found = js_divergence(first, second) if smoothing is None else kl_divergence(first, second, smoothing)
    assert found.mean() == pytest.approx(mean, rel=0.05)
    assert q95 is None or np.quantile(found, 0.95) == pytest.approx(q95, rel=0.06)


def test_reshuffles_are_divisions_of_the_pool() -> None:
    """The null's mean, its 95 % point and p are those of all divisions of the pooled answers, each equally likely."""
    first, second = np.array([4, 1, 0]), np.array([1, 2, 2])
    pool = np.repeat([0, 1, 2], first + second)
    values = []
    for chosen in combinations(range(10), 5):
        one = np.bincount(pool[list(chosen)], minlength=3)
        values.append(float(kl_divergence(one, first + second - one)))
    found = measure(first, second, kl_divergence, np.random.default_rng(1), reshuffles=40_000)
    assert found.value == pytest.approx(float(kl_divergence(first, second)))
    assert found.null_mean == pytest.approx(np.mean(values), rel=0.02)
    assert found.null_q95 == pytest.approx(np.quantile(values, 0.95), rel=0.02)
    assert found.p == pytest.approx(np.mean(np.array(values) >= found.value - 1e-12), abs=0.01)


@pytest.mark.parametrize("statistic", [kl_divergence, js_divergence, share_difference])
def test_p_values_of_noise_are_not_too_small(statistic: object) -> None:
    """Of 500 pairs of samples of one distribution no more have a p-value below a level than the level says."""
    generator = np.random.default_rng(3)
    shares = [0.6, 0.4] if statistic is share_difference else [0.4, 0.3, 0.2, 0.1]
    p = []
    for _ in range(500):
        first, second = generator.multinomial(60, shares), generator.multinomial(45, shares)
        p.append(measure(first, second, statistic, generator, reshuffles=199).p)  # type: ignore[arg-type] # one of the three
    for level in (0.05, 0.2, 0.5, 0.8):
        below = np.count_nonzero(np.array(p) <= level)
        # Answers are few, so that p-values have steps, and lie above the line rather than on it.
        assert binom.ppf(1e-4, 500, level) * 0.6 <= below <= binom.ppf(1 - 1e-4, 500, level)


def test_a_difference_is_found() -> None:
    """Samples of other distributions have small p-values, and a difference of shares has its sign."""
    first, second = np.array([90, 10]), np.array([60, 40])
    for statistic in (kl_divergence, js_divergence, share_difference):
        found = measure(first, second, statistic, np.random.default_rng(0))
        assert found.p == pytest.approx(1 / 1001)
        assert abs(found.value) > found.null_q95
    assert share_difference(first, second) == pytest.approx(-0.3)


def test_halves_of_one_sample_differ_by_noise_alone() -> None:
    """The mean over all ways to halve a small sample, by enumeration; of one answer, halves do not differ at all."""
    sample = [0, 0, 0, 0, 1, 1, 1, 2]
    counts = np.bincount(sample)
    found = split_half(counts, kl_divergence, np.random.default_rng(0), 20_000)
    halves = [np.bincount([sample[place] for place in chosen], minlength=3) for chosen in combinations(range(8), 4)]
    expected = np.mean([kl_divergence(half, counts - half) for half in halves])
    assert found == pytest.approx(expected, rel=0.02)
    assert split_half(np.array([9, 0]), kl_divergence, np.random.default_rng(0)) == 0
