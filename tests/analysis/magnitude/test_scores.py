"""Magnitude aligned areas, monotonicity and its correlation: by hand, and where they have no value."""

from __future__ import annotations

import numpy as np
import pytest

from tokimp.analysis.magnitude.scores import (
    Responses,
    deletion_areas,
    insertion_areas,
    monotonicity,
    monotonicity_correlation,
)
from tokimp.chains.arrays import FloatArray


def responses(ascending: list[float], descending: list[float] | None = None) -> Responses:
    """Return the responses of an order with one unit a step."""
    up, down = np.array(ascending), np.array(ascending if descending is None else descending)
    return Responses(np.arange(len(up)), up, down, np.zeros(len(up) - 1), float(up[-1]))


def test_the_areas_of_two_units_by_hand() -> None:
    """From -1 over -3 to -5 nats, with importances 3 and 1: responses 1, .5, 0, shares 1, .25, 0; areas .5 and .625."""
    sizes = np.array([1.0, 3.0])
    deletion = deletion_areas(responses([-5, -3, -1]), sizes)
    assert (deletion.response, deletion.mas) == (0.5, 0.625)
    # Put back, the responses are 0, .5, 1 and the shares 0, .75, 1: .25 is subtracted in the middle.
    insertion = insertion_areas(responses([-5, -3, -1]), sizes)
    assert (insertion.response, insertion.mas) == (0.5, 0.375)


def test_a_response_only_falls_in_deletion_and_only_rises_in_insertion() -> None:
    """Running minimum and maximum: 1, .2, .6, 0 counts as 1, .2, .2, 0, and 0, .8, .4, 1 as 0, .8, .8, 1."""
    sizes = np.array([1.0, 1.0, 1.0])
    deletion = deletion_areas(responses([0.0, 0.6, 0.2, 1.0]), sizes)
    assert deletion.response == pytest.approx((0.5 + 0.2 + 0.2) / 3)
    insertion = insertion_areas(responses([0.0, 0.8, 0.4, 1.0]), sizes)
    assert insertion.response == pytest.approx((0.5 + 0.8 + 0.8) / 3)


def test_sizes_that_fit_the_response_are_not_corrected() -> None:
    """If each unit has the share of importance that it has of the response, both areas are the same."""
    for seed in range(5):
        sizes = np.sort(np.random.default_rng(seed).random(6))
        held = np.concatenate([[0.0], np.cumsum(sizes)])
        deletion = deletion_areas(responses(held.tolist()), sizes)
        assert deletion.mas == pytest.approx(deletion.response)
        back = (held[-1] - held[::-1]).tolist()
        insertion = insertion_areas(responses(held.tolist(), back), sizes)
        assert insertion.mas == pytest.approx(insertion.response)


def test_steps_of_unequal_numbers_of_units_keep_their_places() -> None:
    """Of five units in steps of two and three, a deletion that ends all at the first step has the area of its width."""
    counts, measured = np.array([0, 2, 5]), np.array([0.0, 0.0, 1.0])
    deletion = deletion_areas(Responses(counts, measured, measured, np.zeros(5), 1.0), np.arange(5.0))
    # Three of five units go first: the response falls from 1 to 0 over the first .6.
    assert deletion.response == pytest.approx(0.3)
    insertion = insertion_areas(Responses(counts, measured, np.array([0.0, 1, 1]), np.zeros(5), 1.0), np.arange(5.0))
    assert insertion.response == pytest.approx(0.8)


def test_without_any_size_there_is_a_response_and_nothing_to_align() -> None:
    """Importances that are all 0 have plain areas, and no magnitude aligned ones."""
    areas = [area(responses([-5, -3, -1]), np.zeros(2)) for area in (deletion_areas, insertion_areas)]
    assert [(area.response, np.isnan(area.mas)) for area in areas] == [(0.5, True)] * 2


def test_monotonicity_is_the_share_of_steps_that_do_not_fall() -> None:
    """Of four steps two fall; one of these falls by less than what is negligible."""
    measured = np.array([0.0, 1.0, 0.999, 2.0, 1.0])
    assert monotonicity(measured) == 0.5
    assert monotonicity(measured, negligible=0.01) == 0.75


@pytest.mark.parametrize(
    ("sizes", "without", "expected"),
    [
        (np.array([1.0, 2.0, 3.0]), np.array([-1.0, -2.0, -4.0]), 1.0),
        (np.array([1.0, 2.0, 3.0]), np.array([-1.0, 2.0, 1.5]), 0.5),
        (np.array([3.0, 2.0, 1.0]), np.array([0.0, 1.0, 2.0]), -1.0),
    ],
)
def test_the_correlation_is_spearman_s_with_squared_changes(
    sizes: FloatArray, without: FloatArray, expected: float
) -> None:
    """Changes of either direction count by their size: of the full chain's 0, those of -1, 2 and 1.5 rank 1, 3, 2."""
    assert monotonicity_correlation(sizes, without, 0.0) == pytest.approx(expected)


def test_what_cannot_be_correlated_is_nan() -> None:
    """Two units, sizes that are all the same, and changes that are all the same have no rank correlation."""
    assert np.isnan(monotonicity_correlation(np.array([1.0, 2.0]), np.array([1.0, 2.0]), 0.0))
    assert np.isnan(monotonicity_correlation(np.ones(3), np.array([1.0, 2.0, 3.0]), 0.0))
    assert np.isnan(monotonicity_correlation(np.arange(3.0), np.ones(3), 0.0))


def test_curves_are_cut_at_what_a_share_can_be() -> None:
    """In deletion 1, .9, 0 with shares 1, .5, 0 is corrected to 1, 1.3, 0, and cut to 1, 1, 0; insertion ends at 1."""
    deletion = deletion_areas(responses([0.0, 0.9, 1.0]), np.array([1.0, 1.0]))
    assert (deletion.response, deletion.mas) == pytest.approx((0.7, 0.75))
    # The first unit brings twice what all bring. Its share of importance is .75, and .25 is subtracted.
    insertion = insertion_areas(responses([0.0, 0.5, 1.0], [0.0, 2.0, 1.0]), np.array([1.0, 3.0]))
    assert (insertion.response, insertion.mas) == pytest.approx((0.75, 0.625))


def test_a_step_that_changes_nothing_does_not_fall() -> None:
    """Two units that bring nothing are in ascending order all the same."""
    assert monotonicity(np.array([1.0, 1.0, 1.0, 2.0])) == 1


def test_changes_are_those_from_the_full_chain() -> None:
    """Of -5 nats, deletions to -5.1, -4 and -7 change .1, 1 and 2, which rank as the sizes do."""
    sizes, without = np.array([0.5, 1.0, 2.0]), np.array([-5.1, -4.0, -7.0])
    assert monotonicity_correlation(sizes, without, -5.0) == pytest.approx(1)
