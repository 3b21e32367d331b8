"""Suppression: how far later predictions move when nothing can attend to a unit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tokimp_suppression import Suppression, suppression_matrix

from tokimp.contracts.objective import Joint
from tokimp.errors import EstimatorError
from tokimp.models.loading import load_scorer
from tokimp.testing import AdditiveScorer, check_estimator, toy_chain
from tokimp.testing.random_models import byte_tokenizer, random_model
from tokimp.testing.reference import random_chain

SHARES = {"a": 0.5, "b": -0.25, "c": 1.0, "d": -1.5}


def test_rows_are_centred_on_their_sources() -> None:
    """A row with log-KLs (-2, -4) becomes (+1, -1); one source alone becomes 0; earlier targets are NaN."""
    moved = np.array([[-9.0, -8, -2, -1], [-9, -9, -4, -3], [-9, -9, -9, -5]])
    found = suppression_matrix(toy_chain("abc"), moved, centred=True)
    nan = np.nan
    np.testing.assert_allclose(found, np.array([[nan, nan, nan], [0, nan, nan], [1, -1, nan], [2, 0, -2]]))
    plain = suppression_matrix(toy_chain("abc"), moved, centred=False)
    np.testing.assert_allclose(plain, np.array([[nan, nan, nan], [-8, nan, nan], [-2, -4, nan], [-1, -3, -5]]))


def by_loops(chain: Any, scorer: Any, *, answer: bool) -> list[float]:
    """Return the importance of each unit by loops over the definition."""
    n = len(chain.units)
    targets = [*chain.units, range(len(chain.reasoning_ids), len(chain.reasoning_ids) + len(chain.answer_ids))]
    m = np.full((n + 1, n), np.nan)
    for i, unit in enumerate(chain.units):
        (moved,) = scorer.knockout_divergences(chain, [unit], queries="all", temperature=0.6)
        for j in range(i + 1, n + 1):
            m[j, i] = np.mean([np.log(max(moved[t], 1e-6)) for t in targets[j]])
    scores = []
    for i in range(n):
        rows = range(i + 1, n + 1 if answer else n)
        scores.append(np.mean([m[j, i] - np.mean(m[j, :j]) for j in rows]) if rows else 0.0)
    return scores


@pytest.mark.parametrize("targets", ["reasoning", "all"])
@pytest.mark.parametrize("unit", ["token", "word"])
def test_it_is_the_mean_of_centred_columns(unit: str, targets: Any) -> None:
    """Scores are those of loops over the definition, on a scorer whose divergences are known."""
    chain, scorer = toy_chain("ab c dab c", unit=unit, answer="xy"), AdditiveScorer(SHARES)
    found = Suppression(targets).estimate(chain, scorer, Joint())
    np.testing.assert_allclose(found.scores, by_loops(chain, scorer, answer=targets == "all"), atol=1e-6)
    assert found.diagnostics["units_without_targets"] == (targets == "reasoning")


def test_what_moves_more_is_more_important() -> None:
    """On that scorer a unit moves all later ones by its size, so the answer alone ranks units by it."""
    chain, scorer = toy_chain("abcd"), AdditiveScorer(SHARES)
    found = Suppression("answer").estimate(chain, scorer, Joint()).scores
    sizes = np.log([0.5, 0.25, 1.0, 1.5])
    np.testing.assert_allclose(found, sizes - sizes.mean(), atol=1e-6)


def test_log_probabilities_lost_are_in_nats() -> None:
    """Asked for log-probabilities, the answer loses each unit's contribution, spread over its tokens."""
    chain, scorer = toy_chain("abcd", answer="xy"), AdditiveScorer(SHARES)
    found = Suppression("answer", "logprob").estimate(chain, scorer, Joint()).scores
    np.testing.assert_allclose(found, np.array([0.5, -0.25, 1.0, -1.5]) / 2, atol=1e-6)


def test_effects_are_what_later_units_and_the_answer_lose() -> None:
    """Asked for, effects are the losses in nats, summed over tokens: here all of them the answer's."""
    chain, scorer = toy_chain("ab cd", unit="word", answer="xy"), AdditiveScorer(SHARES)
    found = Suppression("answer", "logprob", effects=True).estimate(chain, scorer, Joint())
    assert found.effects is not None
    assert found.effects_on_answer is not None
    np.testing.assert_allclose(found.effects, np.zeros((2, 2)), atol=1e-6)
    np.testing.assert_allclose(found.effects_on_answer, [0.25, -0.5], atol=1e-5)
    assert Suppression(measure="logprob", effects=True).gives_effects


@pytest.mark.parametrize("backend", ["transformer_lens", "nnsight"])
def test_it_is_the_models(backend: str) -> None:
    """On a random llama it is what loops make of the scorer's divergences, and of n passes and one beside."""
    chain = random_chain(4, 6, 2)
    scorer = load_scorer(random_model("llama"), backend, device="cpu", tokenizer=byte_tokenizer())
    found = Suppression("all").estimate(chain, scorer, Joint()).scores
    assert scorer.tokens_forwarded == (6 + 1) * (len(chain) - 1)
    np.testing.assert_allclose(found, by_loops(chain, scorer, answer=True), atol=1e-3)


@pytest.mark.parametrize(
    "parameters", [{"targets": "prompt"}, {"measure": "kl"}, {"effects": True}, {"temperature": 0}, {"floor": 0}]
)
def test_parameters_that_are_not_allowed(parameters: dict[str, Any]) -> None:
    """A wrong value is refused by name."""
    (name,) = parameters
    with pytest.raises(EstimatorError, match=rf"suppression: {name}=.* is not allowed"):
        Suppression(**parameters).validate_parameters()


@pytest.mark.parametrize("parameters", [{}, {"targets": "all", "measure": "logprob", "effects": True}])
def test_it_keeps_the_contract(parameters: dict[str, Any]) -> None:
    """It passes the check that every estimator must pass."""
    check_estimator(Suppression(**parameters))
