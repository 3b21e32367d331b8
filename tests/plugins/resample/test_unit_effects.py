"""What a unit does to later units is how much oftener continuations hold them."""

from __future__ import annotations

import numpy as np
import pytest
from tokimp_resample import Resample

from tests.plugins.resample.toy_writer import ToyWriter, chain_of
from tokimp.contracts.objective import Answer
from tokimp.errors import EstimatorError
from tokimp.testing import check_estimator

CHAIN = chain_of("Take 5. Add 2.", id="effects")
MANY = 20_000
WRITTEN = {
    "": {"Take 5. Add 2.\n#### 1": 0.4, "No. Add 2.\n#### 2": 0.2, "No. Sub 1.\n#### 2": 0.4},
    "Take 5.": {" Add 2.\n#### 1": 0.9, " Sub 1.\n#### 2": 0.1},
    "Take 5. Add 2.": {"\n#### 1": 1.0},
}


@pytest.mark.parametrize(("kind", "next_unit", "answer"), [("resampling", 0.3, 0.5), ("counterfactual", 17 / 30, 0.9)])
def test_effects_are_the_shares_of_the_known_distribution(kind: str, next_unit: float, answer: float) -> None:
    """With the first sentence given, the second is written, and the answer found, so much oftener than without.

    Without it are all texts of the beginning (0.6 hold the second sentence, 0.4 end with 1), or, for the counterfactual
    kind, those that begin otherwise (a third of which holds it, and none ends with 1).
    """
    estimator = Resample(kind, effects=True, last_unit="answer", rollouts=MANY, reshuffles=10)
    found = estimator.estimate(CHAIN, ToyWriter(WRITTEN.__getitem__), Answer())
    assert found.effects is not None
    assert found.effects_on_answer is not None
    np.testing.assert_allclose(found.effects, np.array([[0, next_unit], [0, 0]]), atol=0.02)
    on_second = 0.1 if kind == "resampling" else 1.0
    np.testing.assert_allclose(found.effects_on_answer, np.array([answer, on_second]), atol=0.02)
    assert 0 < found.diagnostics["effect_noise"] < 0.01


def test_effects_change_no_importance() -> None:
    """The scores are those without effects, and no text is written for them."""
    writers = ToyWriter(WRITTEN.__getitem__), ToyWriter(WRITTEN.__getitem__)
    plain = Resample().estimate(CHAIN, writers[0], Answer())
    also = Resample(effects=True).estimate(CHAIN, writers[1], Answer())
    np.testing.assert_array_equal(plain.scores, also.scores)
    assert writers[0].asked == writers[1].asked
    assert plain.effects is None


def test_a_unit_without_enough_continuations_has_no_effects() -> None:
    """Fewer than ten on a side say nothing: all its effects are 0."""
    found = Resample(effects=True, rollouts=9).estimate(CHAIN, ToyWriter(WRITTEN.__getitem__), Answer())
    assert found.effects is not None
    assert not found.effects.any()


def test_tokens_have_no_effects() -> None:
    """What a model wrote is not divided into tokens of the chain's, so effects between tokens are refused."""
    chain = chain_of("ab", unit="token", id="tokens")
    with pytest.raises(EstimatorError, match=r"take words or sentences \(unit\)"):
        Resample(effects=True).estimate(chain, ToyWriter(lambda _: {"ab\n#### 1": 1.0}), Answer())


def test_it_keeps_the_contract() -> None:
    """The check of estimators passes with effects."""
    chains = [chain_of("Take 5. Then 7.", unit=unit, id=unit) for unit in ("word", "sentence")]
    writer = ToyWriter(lambda _: {" So.\n#### 1": 0.5, " No.\n#### 2": 0.3, " Hm": 0.2})
    check_estimator(Resample(effects=True), writer, chains)
