"""Losses at the beginning and the end of a training."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokimp.distillation.train.losses import mean_loss, tenth_of


@given(
    losses=st.lists(st.floats(0, 10), min_size=1, max_size=60),
    every=st.integers(1, 7),
    ends=st.tuples(st.integers(0, 60), st.integers(0, 60)),
)
def test_means_over_whole_intervals_are_means_over_steps(
    losses: list[float], every: int, ends: tuple[int, int]
) -> None:
    """Measured every few steps, the mean between two measurements is that of the losses of all steps between them."""
    places = [*range(every, len(losses), every), len(losses)]
    history: list[dict[str, float]] = []
    for place in places:
        since = int(history[-1]["step"]) if history else 0
        history.append({"step": float(place), "loss": math.fsum(losses[since:place]) / (place - since)})
        history.append({"step": float(place), "validation_loss": 99.0})
    after, up_to = sorted([0, *places][end % (len(places) + 1)] for end in ends)
    found = mean_loss(history, after, up_to)
    if after == up_to:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(math.fsum(losses[after:up_to]) / (up_to - after), abs=1e-9)


def test_a_part_of_an_interval_counts_as_much_as_it_covers() -> None:
    """Of a measurement over ten steps, of which one is asked for, one step counts."""
    history = [{"step": 10.0, "loss": 4.0}, {"step": 20.0, "loss": 1.0}]
    assert mean_loss(history, 9, 12) == pytest.approx((1 * 4 + 2 * 1) / 3)
    assert math.isnan(mean_loss(history, 20, 30))


@pytest.mark.parametrize(("steps", "tenth"), [(0, 1), (1, 1), (10, 1), (11, 2), (200, 20)])
def test_a_tenth_is_at_least_a_step(steps: int, tenth: int) -> None:
    """Tenths are rounded up."""
    assert tenth_of(steps) == tenth
