"""The check of estimators finds each way to break the contract, and says which it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.constraints import Number
from tokimp.contracts.estimator import Importance, ImportanceEstimator, Trajectory, sum_over_units
from tokimp.contracts.objective import Answer, Objective
from tokimp.contracts.scorer import Capability, Scorer
from tokimp.errors import EstimatorError
from tokimp.testing import AdditiveScorer, check_estimator, toy_chain


class Good(ImportanceEstimator):
    """Surprisal to some power: an estimator without fault, for others to break."""

    name = "good"
    requires = frozenset({Capability.LOGPROBS})

    constraints = {"power": Number(above=0)}

    def __init__(self, power: float = 1.0, noise: bool = False) -> None:
        self.power = power
        self.noise = noise

    def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
        """Return the surprisal, with seeded noise if so asked."""
        surprisal = -scorer.logprobs([chain])[0].reasoning
        scores = sum_over_units(chain, surprisal**self.power)
        if self.noise:
            scores += np.random.random(len(scores))  # noqa: NPY002 - the generator that is seeded for estimators
        return Importance(scores)


def broken(**members: Any) -> type[ImportanceEstimator]:
    """Return a class like `Good` but for some members."""
    return type("Broken", (Good,), members)


def answering(importance: Any) -> type[ImportanceEstimator]:
    """Return a class whose estimate is a function of the number of units."""
    return broken(estimate=lambda self, chain, scorer, objective: importance(len(chain.units)))


@pytest.mark.parametrize("estimator", [Good, Good(), Good(power=2.0), Good(noise=True)])
def test_a_good_estimator_passes(estimator: Any) -> None:
    """Classes and instances pass, with other parameters, and with randomness from the seeded generators."""
    check_estimator(estimator)


def _stored_otherwise(self: Any, power: float = 1.0) -> None:
    self.exponent = power


def _changed(self: Any, power: Any = 1.0) -> None:
    self.power = [power]


def _judged(self: Any, power: float = 1.0) -> None:
    self.power = float(power)


def _unnamed(self: Any, *powers: float) -> None:
    self.powers = powers


def _needed(self: Any, power: float) -> None:
    self.power = power


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        ("good", "is neither an instance nor a subclass of ImportanceEstimator"),
        (int, "int does not subclass ImportanceEstimator"),
        (ImportanceEstimator, "does not define estimate"),
        (broken(name="a:b"), "holds no space"),
        (broken(name=""), "not empty"),
        (broken(name=3), "Broken.name must be a text"),
        (broken(requires={Capability.LOGPROBS}), "requires must be a frozenset"),
        (broken(requires=frozenset({"logprobs"})), "members of Capability"),
        (broken(__init__=_stored_otherwise), "must store power as given, in self.power"),
        (broken(__init__=_changed), "must store power as given"),
        (broken(__init__=_judged), "must only store its parameters, but raised TypeError"),
        (broken(__init__=_unnamed), r"takes \*powers"),
        (broken(__init__=_needed), "needs power: give check_estimator an instance"),
        (Good(power=-1), "good: power=-1 is not allowed; give a number above 0"),
        (broken(constraints={"pwoer": Number()}), "good: constraints name pwoer, but __init__ has power, noise"),
        (broken(label="better"), "label 'better' must begin with the name"),
        (broken(label=property(lambda self: f"good:{id(self)}")), "equal parameters must give equal labels"),
    ],
)
def test_a_description_that_breaks_the_contract(estimator: Any, message: str) -> None:
    """Name, requires, parameters and label are checked, and what is wrong is said."""
    with pytest.raises(AssertionError, match=message):
        check_estimator(estimator)


made: Any = Importance  # given what its annotations forbid


def _trajectory(*lengths: int) -> Trajectory:
    joint, answer, reasoning = (np.zeros(length) for length in lengths)
    return Trajectory(joint, answer, reasoning)


@pytest.mark.parametrize(
    ("importance", "message"),
    [
        (lambda n: made(np.zeros(n + 1)), "one score a unit"),
        (lambda n: made([0.0] * n), "a list of .* array of shape"),
        (lambda n: made(np.zeros((n, 1))), "one score a unit"),
        (lambda n: made(np.full(n, np.nan)), "not finite, of units"),
        (lambda n: made(np.array(["1"] * n)), "real numbers were expected"),
        (lambda n: made(np.arange(n), np.arange(n + 1)), "as order, an array of shape"),
        (lambda n: made(np.arange(n), np.arange(1, n + 1)), "steps are not 0, 1, 2"),
        (lambda n: made(-np.arange(n), np.arange(n)), "contradict its order"),
        (lambda n: made(np.zeros(n), np.r_[0, np.full(n - 1, -1)]), "contradict its order"),
        (lambda n: made(np.arange(n), None, _trajectory(n, n, n)), "without the order"),
        (
            lambda n: made(np.arange(n), np.arange(n), _trajectory(n, n + 1, n)),
            "as answer of the trajectory, an array of shape",
        ),
        (lambda n: made(np.arange(n), list(range(n))), "as order, a list of"),
        (lambda n: made(np.arange(n), np.arange(n, dtype=float)), "whole numbers were expected"),
        (lambda n: made(np.arange(n)[::-1].astype(np.uint8), np.arange(n)), "contradict its order"),
        (lambda n: None, "None; an Importance was expected"),
    ],
)
def test_an_importance_that_breaks_the_contract(importance: Any, message: str) -> None:
    """Scores, order and trajectory must be of the chain and agree with each other."""
    with pytest.raises(AssertionError, match=message):
        check_estimator(answering(importance))


@pytest.mark.parametrize(
    ("method", "capability"),
    [
        ("score_deletions", "DELETIONS"),
        ("deletion_scores", "DELETIONS"),
        ("deletion_logprobs", "DELETIONS"),
        ("attention", "ATTENTION"),
        ("embedding_gradients", "GRADIENTS"),
        ("objective_value", "GRADIENTS"),
        ("generate", "GENERATION"),
    ],
)
@pytest.mark.parametrize("swallowed", [False, True])
def test_asking_for_more_than_it_requires(method: str, capability: str, swallowed: bool) -> None:
    """A method of the scorer that `requires` does not cover is found out, even where the failure is swallowed."""

    class Asking(Good):
        def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
            try:
                getattr(scorer, method)(chain, objective)
            except Exception:
                if not swallowed:
                    raise
            return super().estimate(chain, scorer, objective)

    with pytest.raises(AssertionError, match=rf"{method}, so requires must hold Capability\.{capability}"):
        check_estimator(Asking)


class Rereading(AdditiveScorer):
    """Reads versions as every scorer does that does not override it: by its own logprobs."""

    deletion_logprobs = Scorer.deletion_logprobs


def test_what_a_scorer_does_itself_is_not_asked_for_by_the_estimator() -> None:
    """An estimator that asks for what is left after deletions need not require the log-probabilities behind it."""
    scorer = Rereading({"a": 0.5})

    def estimate(self: Any, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
        left = scorer.deletion_logprobs(chain, range(len(chain.reasoning_ids)), chain.units)
        return Importance(-np.nansum(left, axis=1))

    deleting = broken(requires=frozenset({Capability.DELETIONS}), estimate=estimate)
    check_estimator(deleting, scorer, [toy_chain("ab a", unit="word"), toy_chain("a", id="one")])


def test_an_estimator_that_remembers() -> None:
    """Numbers that change from one call to the next are found."""

    class Counting(Good):
        calls = 0

        def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
            type(self).calls += 1
            return Importance(np.full(len(chain.units), float(self.calls)))

    with pytest.raises(AssertionError, match="gave other numbers for chain"):
        check_estimator(Counting)


def test_an_estimator_that_draws_from_nowhere() -> None:
    """Randomness from a generator that nobody seeded is found."""

    class Unseeded(Good):
        def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
            return Importance(np.random.default_rng().random(len(chain.units)))

    with pytest.raises(AssertionError, match="generators of random, numpy or torch"):
        check_estimator(Unseeded)


def test_an_estimator_that_changes_itself() -> None:
    """A parameter that estimating changes is found."""

    class Learning(Good):
        def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
            self.power += 1
            return Importance(np.zeros(len(chain.units)))

    with pytest.raises(AssertionError, match="changed its own parameters"):
        check_estimator(Learning)


def test_an_estimator_that_changes_the_objective() -> None:
    """An objective that comes back different is found."""

    class Meddling(Good):
        def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
            objective.mark = True  # type: ignore[attr-defined] # what is tested
            return Importance(np.zeros(len(chain.units)))

    with pytest.raises(AssertionError, match="changed the objective"):
        check_estimator(Meddling, objectives=[Answer()])


def test_an_estimator_that_fails_on_a_single_unit() -> None:
    """What an estimator raises is reported with the chain it raised it on."""

    class Standardised(Good):
        def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
            scores = np.arange(len(chain.units), dtype=float)
            if len(scores) == 1:
                raise EstimatorError("one unit has no spread")
            return Importance((scores - scores.mean()) / scores.std())

    with pytest.raises(AssertionError, match=r"chain 'one unit'.*one unit has no spread"):
        check_estimator(Standardised)


def test_a_scorer_without_what_is_required() -> None:
    """A scorer that lacks a required capability is no fault of the estimator: another one is asked for."""
    generating = broken(requires=frozenset({Capability.GENERATION}))
    with pytest.raises(AssertionError, match="give check_estimator a scorer that has generation"):
        check_estimator(generating)


def test_own_chains_and_scorer_are_used() -> None:
    """Given chains and scorer are what the estimator meets, each chain with each objective, twice."""
    met = []

    class Recording(Good):
        def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
            met.append((chain.id, scorer.model_id, objective.name))
            return super().estimate(chain, scorer, objective)

    scorer = AdditiveScorer()
    scorer.model_id = "mine"
    check_estimator(Recording, scorer, [toy_chain("ab", id="x"), toy_chain("c", id="y")], [Answer()])
    assert sorted(met) == [("x", "mine", "answer")] * 2 + [("y", "mine", "answer")] * 2
