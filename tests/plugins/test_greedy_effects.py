"""Effects of greedy pruning: what each unit does in the full chain, which its first step looks at."""

from __future__ import annotations

import numpy as np
import pytest
from tokimp_greedy import GreedyPruning
from tokimp_leave_one_out import LeaveOneOut

from tokimp.contracts.objective import Joint
from tokimp.models.loading import load_scorer
from tokimp.testing import check_estimator
from tokimp.testing.random_models import byte_tokenizer, random_model
from tokimp.testing.reference import random_chain


@pytest.mark.parametrize("strategy", ["exact", "fast"])
def test_effects_are_those_of_leave_one_out(strategy: str) -> None:
    """They are the same numbers, between units and on the answer, and change neither scores nor order."""
    scorer = load_scorer(random_model("llama"), device="cpu", tokenizer=byte_tokenizer())
    chain = random_chain(4, 6, 3)
    plain = GreedyPruning(strategy=strategy).estimate(chain, scorer, Joint())
    found = GreedyPruning(strategy=strategy, effects=True).estimate(chain, scorer, Joint())
    expected = LeaveOneOut(effects=True).estimate(chain, scorer, Joint())
    assert plain.effects is None
    assert found.effects is not None
    assert np.abs(found.effects[np.triu_indices(6, 1)]).min() > 0
    np.testing.assert_array_equal(found.scores, plain.scores)
    np.testing.assert_array_equal(np.asarray(found.order), np.asarray(plain.order))
    np.testing.assert_allclose(found.effects, np.asarray(expected.effects), atol=1e-4)
    np.testing.assert_allclose(np.asarray(found.effects_on_answer), np.asarray(expected.effects_on_answer), atol=1e-4)


def test_it_keeps_the_contract() -> None:
    """The check of estimators passes with effects."""
    check_estimator(GreedyPruning(effects=True))
