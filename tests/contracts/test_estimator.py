"""What every estimator inherits: parameters, label, validation, and what becomes of scores of tokens."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.estimator import Importance, ImportanceEstimator, Trajectory, check_importance, sum_over_units
from tokimp.contracts.objective import Objective
from tokimp.contracts.registry import load_estimator, register_estimator
from tokimp.contracts.scorer import Scorer
from tokimp.errors import EstimatorError
from tokimp.testing import toy_chain


class Bare(ImportanceEstimator):
    """An estimator without parameters."""

    name = "bare"

    def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
        """Return zeros."""
        return Importance(np.zeros(len(chain.units)))


class Described(Bare):
    """An estimator with parameters of every kind that a command line can write."""

    name = "described"

    def __init__(self, size: Any = 1.0, words: Any = None, *, mode: Any = "soft") -> None:
        self.size = size
        self.words = words
        self.mode = mode


class Demanding(Bare):
    """An estimator with a parameter that has no default."""

    name = "demanding"

    def __init__(self, size: int) -> None:
        self.size = size


register_estimator("described")(Described)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


def test_a_class_without_init_has_no_parameters() -> None:
    """Nothing is made up where no ``__init__`` is written."""
    assert Bare().parameters() == {}
    assert Bare().label == "bare"
    assert repr(Bare()) == "Bare()"


def test_the_label_names_what_differs_from_the_defaults() -> None:
    """Parameters at their defaults are left out, and the rest stands in the order of ``__init__``."""
    assert Described().label == "described"
    assert Described(1, None, mode="soft").label == "described"
    assert Described(mode="hard", size=0.5).label == "described:size=0.5,mode=hard"
    assert Described(words=[0, 1]).label == "described:words=[0,1]"
    assert repr(Described(2)) == "Described(size=2, words=None, mode='soft')"


def test_a_parameter_without_a_default_is_always_named() -> None:
    """There is no default to equal, so the label shows the value."""
    assert Demanding(3).label == "demanding:size=3"
    assert Demanding(size=3).parameters() == {"size": 3}


def test_arrays_can_be_parameters() -> None:
    """A parameter whose comparison gives many truths still has a label."""
    assert Described(words=np.array([1, 2])).label.startswith("described:words=[1,2]")


@given(size=json_values, words=json_values, mode=json_values)
def test_a_label_can_be_loaded(size: Any, words: Any, mode: Any) -> None:
    """`load_estimator` makes of a label an estimator with the same parameters, if JSON can write them."""
    estimator = Described(size, words, mode=mode)
    loaded = load_estimator(estimator.label)
    assert loaded.label == estimator.label
    defaults = Described().parameters()
    for name, value in estimator.parameters().items():
        assert loaded.parameters()[name] == (defaults[name] if value == defaults[name] else value)


def test_parameters_that_are_not_stored() -> None:
    """An ``__init__`` that forgets a parameter, or takes any number of them, is an error that names it."""

    class Forgetful(Bare):
        def __init__(self, size: int = 1) -> None:
            pass

    class Greedy(Bare):
        def __init__(self, *sizes: int) -> None:
            self.sizes = sizes

    class Open(Bare):
        def __init__(self, **options: int) -> None:
            self.options = options

    with pytest.raises(EstimatorError, match=r"Forgetful.__init__ must store its parameter 'size' as self.size"):
        Forgetful().parameters()
    with pytest.raises(EstimatorError, match=r"Greedy.__init__ takes \*sizes"):
        Greedy(1).parameters()
    with pytest.raises(EstimatorError, match=r"Open.__init__ takes \*\*options"):
        Open(size=1).parameters()


def test_every_value_is_allowed_unless_a_class_says_otherwise() -> None:
    """A class without constraints allows any value, and `invalid_parameter` names the wrong value's parameter."""
    Described(size="anything").validate_parameters()
    error = Described(size="anything").invalid_parameter("size", "a number")
    assert isinstance(error, EstimatorError)
    assert str(error) == "described: size='anything' is not allowed; give a number"


@given(
    text=st.text("ab .", min_size=1, max_size=12).filter(str.strip),
    unit=st.sampled_from(["token", "word", "sentence"]),
    data=st.data(),
)
def test_token_scores_are_summed_over_units(text: str, unit: str, data: st.DataObject) -> None:
    """Each unit has the sum of its tokens, in every row of leading dimensions; nothing is lost or counted twice."""
    chain = toy_chain(text, unit=unit)
    scores = data.draw(arrays.arrays(np.float32, (2, len(text)), elements=st.integers(-100, 100)))
    summed = sum_over_units(chain, scores)
    assert summed.shape == (2, len(chain.units))
    assert summed.dtype == np.float64
    for row in range(2):
        assert summed[row].tolist() == [sum(float(scores[row, p]) for p in tokens) for tokens in chain.units]
    np.testing.assert_array_equal(summed.sum(axis=1), scores.astype(np.float64).sum(axis=1))


def test_token_scores_of_another_length_are_refused() -> None:
    """Scores that are not one a reasoning token raise an error that names the chain."""
    with pytest.raises(EstimatorError, match=r"chain 'short'.*\(3,\).*2 reasoning tokens"):
        sum_over_units(toy_chain("ab", id="short"), np.zeros(3))


@pytest.mark.parametrize(
    "importance",
    [
        Importance(np.array([1.0, -2.0, 1.0])),
        Importance(np.array([1, 2, 3])),
        Importance(np.array([1.0, 0.0, 2.0]), np.array([1, 0, 2])),
        Importance(np.array([5.0, 1.0, 5.0]), np.array([-1, 0, -1]), Trajectory(*np.zeros((3, 1)))),
        Importance(np.array([1.0, 1.0, 1.0]), np.array([2, 0, 1])),
        Importance(np.zeros(3), np.full(3, -1), Trajectory(*np.zeros((3, 0)))),
    ],
)
def test_a_well_formed_importance_passes(importance: Importance) -> None:
    """One score a unit will do; an order may leave units out, and scores may tie along it."""
    check_importance(importance, toy_chain("abc"), "mine")


def test_an_ill_formed_importance_is_named() -> None:
    """The error says which chain and estimator; the check of estimators tests every case."""
    message = r"chain 'x': the estimator 'mine' returned as scores, an array of shape \(2,\)"
    with pytest.raises(EstimatorError, match=message):
        check_importance(Importance(np.zeros(2)), toy_chain("abc", id="x"), "mine")
