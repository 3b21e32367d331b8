"""Several comparisons at once, and how many chains a difference needs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from tokimp.analysis.statistics.multiplicity import chains_needed, holm, power_of_t_test, smallest_found


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_never_below_the_p_value_nor_above_bonferroni(p_values: list[float]) -> None:
    """Corrected values keep the order of the p-values, and lie between them and Bonferroni's."""
    corrected = holm(p_values)
    for p_value, found in zip(p_values, corrected, strict=True):
        assert p_value - 1e-9 <= found <= min(1.0, len(p_values) * p_value) + 1e-9
    assert np.all(np.diff(np.array(corrected)[np.argsort(p_values, kind="stable")]) >= 0)


def test_holm_by_hand() -> None:
    """The textbook's example: 0.01, 0.04, 0.03, 0.005 become 0.03, 0.06, 0.06, 0.02."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == [0.03, 0.06, 0.06, 0.02]


def test_what_is_not_known_does_not_count() -> None:
    """A missing p-value stays missing, and the others are corrected for how many they are."""
    assert holm([0.01, float("nan"), 0.04]) == pytest.approx([0.02, np.nan, 0.04], nan_ok=True)


def test_power_is_how_often_a_test_finds_the_difference() -> None:
    """Of many samples with this difference, as large a share has a t test below the level."""
    samples = np.random.default_rng(0).normal(0.5, 1, size=(2000, 20))
    found = np.mean([stats.ttest_1samp(sample, 0).pvalue < 0.05 for sample in samples])
    assert power_of_t_test(0.5, 1.0, 20) == pytest.approx(found, abs=0.03)


def test_the_smallest_difference_needs_as_many_chains_as_there_are() -> None:
    """The smallest mean that 12 chains show needs 12, and half of it about four times as many."""
    values = np.random.default_rng(1).normal(size=12)
    smallest = smallest_found(values)
    assert chains_needed(values, smallest * 1.0001) == 12
    assert 40 <= chains_needed(values, smallest / 2) <= 48
    assert smallest_found(values, level=0.05 / 6) > smallest
    assert smallest_found(np.append(values, np.nan)) == smallest


def test_nothing_that_varies_has_no_power() -> None:
    """One chain, or values that are all alike, say nothing about how many chains are needed."""
    for values in (np.array([0.3]), np.full(9, 0.3)):
        assert np.isnan(smallest_found(values))
        assert np.isnan(chains_needed(values, 0.1))


@pytest.mark.parametrize(
    ("difference", "deviation", "n", "level"),
    [(0.5, 2.0, 12, 0.05), (0.4, 0.7, 7, 0.01), (3.0, 1.0, 3, 0.05), (9.0, 1.0, 2, 0.1), (0.05, 1.0, 30, 0.2)],
)
def test_power_is_the_probability_of_either_tail(difference: float, deviation: float, n: int, level: float) -> None:
    """It is how often a mean lies beyond the quantiles of t times its error, averaged over what the error may be."""
    assert power_of_t_test(difference, deviation, n, level=level) == pytest.approx(
        two_tails(difference / deviation, n, level), abs=1e-6
    )


def two_tails(effect: float, n: int, level: float) -> float:
    """Return the power of a t test of an effect in standard deviations, by integration over the sample's deviation."""
    limit, shift = stats.t.ppf(1 - level / 2, n - 1), effect * np.sqrt(n)

    def beyond(root: float) -> float:
        reach = limit * root / np.sqrt(n - 1)
        return float(stats.chi.pdf(root, n - 1) * (stats.norm.sf(reach - shift) + stats.norm.cdf(-reach - shift)))

    return float(integrate.quad(beyond, 0, 30, points=[0.05, 0.3, 1, 3, 6], limit=200)[0])


@pytest.mark.parametrize(("effect", "n"), [(0.2, 199), (0.5, 34), (0.8, 15)])
def test_chains_needed_are_those_of_the_tables(effect: float, n: int) -> None:
    """For power 0.8 at level 0.05, Cohen's small, medium and large effects need 199, 34 and 15 pairs (G*Power 3.1)."""
    assert chains_needed(np.array([-1.0, 0.0, 1.0]), effect) == n


@pytest.mark.parametrize(
    ("effect", "level", "power"), [(0.5, 0.01, 0.8), (0.5, 0.05, 0.95), (3.0, 0.05, 0.8), (60, 0.05, 0.8)]
)
def test_chains_needed_are_the_fewest_with_the_power(effect: float, level: float, power: float) -> None:
    """They are what a search from two chains finds, at any level and power; for a huge difference two are enough."""
    fewest = next(n for n in range(2, 200) if two_tails(effect, n, level) >= power)
    assert chains_needed(np.array([-2.0, 0.0, 2.0]), 2 * effect, level=level, power=power) == fewest


def test_the_smallest_difference_has_just_the_power_asked_for() -> None:
    """Two chains are the fewest that show one; more power and a lower level need a larger difference."""
    for values in (np.array([0.0, 1.0]), np.array([0.0, 0.1, 0.5, 0.2])):
        for power, level in ((0.8, 0.05), (0.5, 0.01)):
            effect = smallest_found(values, level=level, power=power) / values.std(ddof=1)
            assert two_tails(effect, len(values), level) == pytest.approx(power, abs=1e-5)
    assert np.isfinite(chains_needed(np.array([0.0, 1.0]), 1.0))
