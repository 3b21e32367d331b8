"""Means over seeds and questions: the interval counts both."""

from __future__ import annotations

import numpy as np
import pytest

from tokimp.analysis.statistics.crossed import crossed_interval, crossed_p_value


@pytest.mark.parametrize("seeds", [2, 3, 6])
@pytest.mark.parametrize("spread", [0.0, 0.5])
def test_intervals_over_seeds_and_questions_cover(seeds: int, spread: float) -> None:
    """Whether trainings differ or not, at least 93 of a hundred intervals hold the mean."""
    rng = np.random.default_rng([seeds, round(10 * spread)])
    held = []
    for _ in range(400):
        values = spread * rng.normal(size=(seeds, 1)) + rng.normal(size=(1, 30)) + rng.normal(size=(seeds, 30))
        interval = crossed_interval(values)
        held.append(interval.low <= 0 <= interval.high)
    assert np.mean(held) >= 0.93


def test_seeds_that_differ_widen_the_interval_and_more_questions_do_not_help() -> None:
    """Where one training went well and another badly, ten times the questions leave the interval as wide."""
    rng = np.random.default_rng(0)
    level = np.array([[0.0], [1.0], [2.0]])
    few, many = (crossed_interval(level + 0.01 * rng.normal(size=(3, n))) for n in (20, 200))
    assert many.high - many.low == pytest.approx(few.high - few.low, rel=0.05)
    alike = crossed_interval(0.01 * rng.normal(size=(3, 20)))
    assert alike.high - alike.low < 0.05 * (few.high - few.low)


def test_the_variances_are_those_of_the_textbook() -> None:
    """With seeds all alike, what is left is the t interval over questions of their means."""
    by_question = np.array([0.0, 1.0, 1.0, 0.0, 1.0, 0.5])
    found = crossed_interval(np.tile(by_question, (4, 1)))
    reach = 2.570581835636314 * by_question.std(ddof=1) / np.sqrt(6)
    assert (found.low, found.high) == pytest.approx((by_question.mean() - reach, by_question.mean() + reach))


def test_with_questions_all_alike_it_is_the_t_interval_over_seeds() -> None:
    """Where only seeds differ, the interval is Student's of their means, with one degree of freedom less than seeds."""
    by_seed = np.array([0.1, 0.4, 0.9])
    found = crossed_interval(np.tile(by_seed[:, None], (1, 7)))
    reach = 4.302652729911275 * by_seed.std(ddof=1) / np.sqrt(3)
    assert (found.low, found.high) == pytest.approx((by_seed.mean() - reach, by_seed.mean() + reach))


def test_both_half_widths_are_added_in_squares() -> None:
    """What questions add is what their means vary by beyond the rest, which counts with the seeds."""
    seeds, questions = 4, 6
    rng = np.random.default_rng(3)
    values = (
        rng.normal(size=(seeds, 1)) + 2 * rng.normal(size=(1, questions)) + 0.3 * rng.normal(size=(seeds, questions))
    )
    rest = values - values.mean(axis=1, keepdims=True) - values.mean(axis=0) + values.mean()
    of_rest = (rest**2).sum() / (3 * 5)
    of_seeds = values.mean(axis=1).var(ddof=1) / seeds
    of_questions = values.mean(axis=0).var(ddof=1) / questions - of_rest / (seeds * questions)
    found = crossed_interval(values)
    reach = np.sqrt(3.182446305284263**2 * of_seeds + 2.570581835636314**2 * of_questions)
    assert (found.low, found.high) == pytest.approx((values.mean() - reach, values.mean() + reach))


def test_the_p_value_belongs_to_the_interval() -> None:
    """At a confidence of one minus the p-value the interval just reaches 0."""
    values = np.random.default_rng(1).normal(0.3, 1, size=(3, 40))
    interval = crossed_interval(values, confidence=1 - crossed_p_value(values))
    assert interval.low == pytest.approx(0, abs=1e-9)


def test_values_that_are_all_the_same_have_no_interval() -> None:
    """There is nothing to measure a difference against; no difference at all has the p-value 1."""
    same = crossed_interval(np.full((2, 5), 0.25))
    assert same.mean == 0.25
    assert np.isnan([same.low, same.high]).all()
    assert np.isnan(crossed_p_value(np.full((2, 5), 0.25)))
    assert crossed_p_value(np.zeros((2, 5))) == 1
