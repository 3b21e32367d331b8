"""The orders that are compared: the estimators', that of places, random ones; and the operators and measures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tokimp as ti
from tests.analysis.against_chance.games import GameScorer, random_game
from tokimp.analysis.against_chance.answer_measures import ANSWER_MEASURES, AnswerScores, as_measure
from tokimp.analysis.against_chance.operators import RequiredByOperators
from tokimp.analysis.against_chance.orders import REFERENCES, ChainOrders, chain_orders, silent_cells, stopped_cells
from tokimp.analysis.deletion_orders import DeletionOrder, uniform_orders
from tokimp.contracts.objective import Joint
from tokimp.contracts.operators import Delete
from tokimp.contracts.scorer import Capability
from tokimp.errors import AnalysisError
from tokimp.results.by_chain import one_chain
from tokimp.testing import AdditiveScorer, toy_chain
from tokimp.testing.toy_result import toy_result


def test_position_is_the_order_of_places_and_random_orders_are_those_of_faithfulness() -> None:
    """The first unit is the least important by place, and a seed gives the random orders that it gives elsewhere."""
    result = toy_result({"mine": [[3.0, 1.0, 2.0]], "flat": [[1.0, 1.0, 1.0]]})
    orders = chain_orders(one_chain(result, "chain-0"), 2, seed=7)
    assert orders.position.units.tolist() == [0, 1, 2]
    assert orders.estimators[0] is not None
    assert orders.estimators[0].units.tolist() == [1, 2, 0]
    for own, elsewhere in zip(orders.uniform, uniform_orders("chain-0", 3, 2, 7), strict=True):
        np.testing.assert_array_equal(own.units, elsewhere.units)
    assert len(orders.rows) == 2 + len(orders.references) == 5


def test_by_size_negative_importance_counts_by_how_large_it_is() -> None:
    """The unit that harms most is the most important one by size, and the least by sign."""
    stored = one_chain(toy_result({"mine": [[-3.0, 1.0, 2.0]]}), "chain-0")
    for by_size, expected in ((False, [0, 1, 2]), (True, [1, 2, 0])):
        (order,) = chain_orders(stored, 1, 0, by_size=by_size).estimators
        assert order is not None
        assert order.units.tolist() == expected


def test_a_ranking_that_stopped_is_not_whole() -> None:
    """Greedy pruning that leaves two units did not compare them; leaving one tells its place."""
    scorer, chain = AdditiveScorer({"a": 0.1, "b": 0.2, "c": 0.3}), toy_chain("abc")
    for keep_ratio, is_whole in ((0.7, False), (0.4, True)):
        estimate = ti.load_estimator(f"greedy:keep_ratio={keep_ratio}").estimate(chain, scorer, Joint())
        orders = chain_orders(one_chain(toy_result({"g": [estimate]}, [chain], scorer), "toy"), 1, 0)
        assert (orders.whole_rows[0] is not None) == is_whole
        assert orders.rows[0] is not None


def test_an_analysis_requires_what_its_operators_require() -> None:
    """All of them together; of an embedding in place of a token gradients; of the class itself the usual ones."""

    class Some:
        requires = RequiredByOperators("delete", "mask")

        def __init__(self, operators: Any, replacement: str = "eos") -> None:
            self.operators, self.replacement = operators, replacement

    assert Some.requires == {Capability.DELETIONS, Capability.LOGPROBS}
    assert Some(["knockout"]).requires == {Capability.KNOCKOUT}
    assert Some(["mask"], "mean").requires == {Capability.GRADIENTS}
    # What is not allowed is refused elsewhere.
    assert Some("abacus").requires == Some.requires


def test_measures_of_an_answer() -> None:
    """Of -2 nats over four tokens: the sum, the mean, and the exponentials of both."""
    values = [as_measure(np.array(-2.0), measure, 4).item() for measure in ANSWER_MEASURES]
    assert values == pytest.approx([-2.0, -0.5, np.exp(-2), np.exp(-0.5)])


def test_a_measure_that_is_no_number_names_the_version() -> None:
    """An infinite log-likelihood is refused with chain and operator; its probability is 0."""
    _, chain = random_game(2, 0)
    scorer = GameScorer([-np.inf, -1.0, -1.0, -0.5])
    with pytest.raises(AnalysisError, match=r"game-2-0.*answer is -inf with 0 of 2 units kept \(delete\)"):
        AnswerScores(scorer, chain, Delete(), "answer").score([(0,), ()])
    assert AnswerScores(scorer, chain, Delete(), "answer_probability").score([()]).tolist() == [0]


def test_silence_and_stopping_are_told_apart() -> None:
    """An estimator without an order is silent; one that left two units or more stopped; both are by estimator."""
    whole, last, stopped = (DeletionOrder(np.arange(3), ranked) for ranked in (3, 2, 1))
    chains = [ChainOrders((None, whole), whole, (whole,)), ChainOrders((stopped, last), whole, (whole,))]
    assert silent_cells(chains).tolist() == [[True, False], [False, False]]
    assert stopped_cells(chains).tolist() == [[False, True], [False, False]]


def test_parameters_of_references_that_make_no_sense_are_refused() -> None:
    """No random order at all, a confidence of 0 or 1, and a negative seed."""
    for name, allowed, refused in (("n_uniform", [1, 5], [0, -1]), ("confidence", [0.5], [0, 1]), ("seed", [0], [-1])):
        assert all(REFERENCES[name].allows(value) for value in allowed)
        assert not any(REFERENCES[name].allows(value) for value in refused)


def test_estimators_order_by_sign_unless_asked_otherwise() -> None:
    """A unit that harms is the least important one."""
    stored = one_chain(toy_result({"mine": [[-3.0, 1.0, 2.0]]}), "chain-0")
    (order,) = chain_orders(stored, 1, 0).estimators
    assert order is not None
    assert order.units.tolist() == [0, 1, 2]


def test_no_versions_have_no_scores() -> None:
    """The model is not asked for nothing."""
    scorer, chain = random_game(2, 0)
    assert AnswerScores(scorer, chain, Delete(), "answer").score([]).shape == (0,)
