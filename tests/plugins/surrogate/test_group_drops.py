"""Which features the perceptron relies on."""

from __future__ import annotations

import numpy as np
from tokimp_surrogate.crossfit import Examples, Perceptron, crossfit
from tokimp_surrogate.group_drops import group_drops

from tests.plugins.surrogate.small_runs import no_words


def test_the_features_that_carry_it_are_named() -> None:
    """A target made of one column loses its correlation with that column's group and with no other."""
    generator = np.random.default_rng(0)
    features = [generator.normal(size=(20, 6)).astype(np.float32) for _ in range(12)]
    target = [values[:, 2].astype(np.float64) for values in features]
    ids = [f"c{i}" for i in range(12)]
    examples = Examples.of(ids, ids, features, target, 0, words=[no_words(len(part)) for part in features])
    fitted = crossfit(examples, 4, Perceptron((8,), (1.0,), 100, 0))
    drops = group_drops(
        examples,
        fitted,
        [[0, 1], [2], [3, 4, 5]],
        permutations=3,
        confidence=0.95,
        seed=0,
        minimum_units=5,
    )
    assert (drops[:, 1, 0] > 0.7).all()
    assert (np.abs(drops[:, [0, 2], 0]) < 0.1).all()
    assert (drops[:, 1, 1] <= drops[:, 1, 0]).all()
