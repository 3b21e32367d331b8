"""Perceptron and ridge regression."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st
from tokimp_surrogate.crossfit import Examples, Perceptron, crossfit
from tokimp_surrogate.regressors import Scaling, Training, fit_ridge

from tests.plugins.surrogate.small_runs import no_words


@drawn(st.lists(st.integers(0, 6), min_size=2, max_size=30).filter(lambda of: len(set(of)) > 1))
def test_whole_questions_say_when_to_stop(question: list[int]) -> None:
    """Of two questions or more some are held out with all their units, and some are left to fit on."""
    units = np.array(question)
    training = Training(np.zeros((len(units), 1), dtype=np.float32), np.zeros(len(units)), units)
    outside = training.held_out()
    assert 0 < outside.sum() < len(units)
    assert not set(units[outside]) & set(units[~outside])


@pytest.mark.parametrize("noise", [1e-7, 1e-5])
def test_a_feature_that_jumps_in_a_chain_not_seen_does_not_carry_the_prediction_away(noise: float) -> None:
    """Constant in training but for a little noise, at one in a chain held out: that is predicted, not extrapolated."""
    generator = np.random.default_rng(0)
    features = [generator.normal(size=(20, 3)).astype(np.float32) for _ in range(9)]
    target = [values[:, 1].astype(np.float64) for values in features]
    for index, values in enumerate(features):
        values[:, 2] = 1.0 if index == 3 else noise * generator.random(20)
    ids = [f"c{i}" for i in range(9)]
    examples = Examples.of(ids, ids, features, target, 0, words=[no_words(len(part)) for part in features])
    fitted = crossfit(examples, 3, Perceptron((8,), (1.0,), 60, 0))
    at = examples.ids.index("c3")
    for model in ("mlp", "ridge"):
        error = np.square(fitted.predictions[model][at] - examples.target[at]).mean()
        assert error < np.square(examples.target[at]).mean()


def test_what_is_rounding_is_told_by_the_size_of_a_feature() -> None:
    """Near 1 a deviation of 1e-7 is rounding; of weights near 1e-5 one of 3e-7 tells units apart, and is read."""
    generator = np.random.default_rng(0)
    noise = generator.normal(size=(200, 4))
    features = (np.array([1.0, 1e-5, 0.0, 300.0]) + np.array([1e-7, 3e-7, 1e-9, 1e-5]) * noise).astype(np.float32)
    target = noise[:, 1]
    training = Training(features, target, np.arange(200) // 20)
    scale = Scaling.of(training).scale
    assert scale[[0, 2, 3]].tolist() == [1, 1, 1]
    assert scale[1] == pytest.approx(3e-7, rel=0.2)
    assert np.corrcoef(fit_ridge(training)(features), target)[0, 1] > 0.99


def test_a_ridge_is_the_one_of_its_penalty() -> None:
    """With a target that is linear in one feature, predictions are close to it, level included."""
    generator = np.random.default_rng(0)
    features = generator.normal(size=(60, 3)).astype(np.float32)
    target = 3.0 * features[:, 1].astype(np.float64) - 40
    predict = fit_ridge(Training(features, target, np.arange(60) // 10))
    np.testing.assert_allclose(predict(features), target, atol=0.3)
