"""Uniform draws an order at random, always the same one for the same chain."""

from __future__ import annotations

from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from scipy.stats import chisquare, kstest
from tokimp_uniform import Uniform

import tokimp as ti
from tokimp.chains.arrays import FloatArray
from tokimp.contracts.objective import Answer, Joint
from tokimp.errors import EstimatorError
from tokimp.testing import AdditiveScorer, check_estimator, toy_chain


def scores(seed: int, chain_id: str, text: str = "abc") -> FloatArray:
    """Return the scores of one draw."""
    return Uniform(seed).estimate(toy_chain(text, id=chain_id), AdditiveScorer(), Joint()).scores


def test_every_order_is_equally_likely() -> None:
    """Over seeds the six orders of three units are equally frequent, and scores spread evenly over 0 to 1."""
    chain, scorer = toy_chain("abc", id="one"), AdditiveScorer()
    drawn = np.array([Uniform(seed).estimate(chain, scorer, Joint()).scores for seed in range(3000)])
    orders = Counter(tuple(row) for row in drawn.argsort(axis=1))
    assert set(orders) == set(permutations(range(3)))
    assert chisquare(list(orders.values())).pvalue > 0.01
    assert kstest(drawn.ravel(), "uniform").pvalue > 0.01


def test_chains_and_seeds_are_independent() -> None:
    """Draws of neighbouring seeds, and of chains whose ids differ by a character, are uncorrelated."""
    first, other_seed, other_chain = (
        scores(0, "c1", "a" * 5000),
        scores(1, "c1", "a" * 5000),
        scores(0, "c2", "a" * 5000),
    )
    assert abs(np.corrcoef(first, other_seed)[0, 1]) < 0.05
    assert abs(np.corrcoef(first, other_chain)[0, 1]) < 0.05


def test_a_draw_depends_on_seed_and_id_alone() -> None:
    """Neither the objective, nor the state of numpy's generator, nor the text changes it; known values stay."""
    np.random.seed(1)  # noqa: NPY002 - the generator that must not matter
    first = scores(7, "one")
    np.random.seed(2)  # noqa: NPY002 - as above
    again = Uniform(7).estimate(toy_chain("xyz", id="one"), AdditiveScorer({"x": 2.0}), Answer()).scores
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(scores(0, "one"), [0.8574267354358229, 0.944610911279729, 0.2593789139667304])


def test_the_order_of_chains_does_not_matter() -> None:
    """A comparison gives each chain the same importances whatever stands before it, and whatever the run's seed."""
    chains = ti.demo_chains(limit=3)
    scorer = ti.load_scorer("tiny")
    forward = ti.compare(chains, scorer, ["uniform", "uniform:seed=1"])
    backward = ti.compare(chains[::-1], scorer, ["uniform", "uniform:seed=1"], seed=5)
    for chain in chains:
        for label in ("uniform", "uniform:seed=1"):
            tables = [ti.chain_table(result, chain.id) for result in (forward, backward)]
            columns = [table[[c for c in table.columns if label in str(c)]].to_numpy() for table in tables]
            assert columns[0].size
            np.testing.assert_array_equal(columns[0], columns[1])


@pytest.mark.parametrize("seed", [1.5, "a", True, None])
def test_seeds_that_are_not_allowed(seed: object) -> None:
    """A seed that is no whole number is refused by name."""
    with pytest.raises(EstimatorError, match=r"uniform: seed=.* is not allowed; give a whole number"):
        Uniform(seed).validate_parameters()  # type: ignore[arg-type] # on purpose


def test_it_keeps_the_contract() -> None:
    """Uniform passes the check that every estimator must pass, and asks the scorer for nothing."""
    check_estimator(Uniform)
    check_estimator(Uniform(seed=-3))
    assert Uniform.requires == frozenset()
