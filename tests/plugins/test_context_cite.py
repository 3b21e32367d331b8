"""ContextCite is a Lasso on what subsets of the units leave of the answer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokimp_context_cite import ContextCite, log_odds

from tokimp.contracts.objective import Answer, Joint
from tokimp.errors import EstimatorError
from tokimp.testing import AdditiveScorer, check_estimator, toy_chain

SHARES = {"a": 0.5, "b": -0.25, "c": 2.0, " ": 0.125, ".": 1.0}


@pytest.mark.parametrize(
    ("answer", "expected"), [("!", [0.48, -0.23, 1.98]), ("42", [0.46, -0.21, 1.96])], ids=["one token", "two tokens"]
)
def test_shares_that_add_up_are_shrunk_by_the_penalty(answer: str, expected: list[float]) -> None:
    """On all subsets of three additive units the importance is the share less 2 lambda m, towards zero."""
    chain = toy_chain("abc", answer=answer)
    found = ContextCite(logit=False).estimate(chain, AdditiveScorer(SHARES), Answer())
    np.testing.assert_allclose(found.scores, expected, atol=1e-9)
    assert dict(found.diagnostics) == {"ablations": 8, "fit": pytest.approx(1, abs=2e-3), "nonzero": 3}


def test_without_penalty_the_shares_are_found_exactly() -> None:
    """Least squares on drawn subsets gives the contributions of an additive answer, of many units too."""
    letters = {chr(97 + index): float(index % 7) - 3 for index in range(20)}
    chain = toy_chain("".join(letters))
    estimator = ContextCite(regularization=0, logit=False)
    found = estimator.estimate(chain, AdditiveScorer(letters, answer_base=-100.0), Answer())
    np.testing.assert_allclose(found.scores, list(letters.values()), atol=1e-9)
    assert found.diagnostics["ablations"] == 64


def test_the_lasso_is_that_of_its_definition() -> None:
    """The weights satisfy the optimality conditions of the penalised least squares on standardised columns."""
    letters = {chr(97 + index): float(index % 5) - 2 for index in range(12)}
    chain, ablations = toy_chain("".join(letters), answer="xyz"), 40
    scorer = AdditiveScorer(letters, answer_base=-30.0)
    estimator = ContextCite(ablations, regularization=0.05)
    found = estimator.estimate(chain, scorer, Answer()).scores
    subsets = estimator._subsets(chain)
    kept = np.array([[unit in subset for unit in range(12)] for subset in map(set, subsets)], dtype=float)
    loglik = -30 + kept @ np.array(list(letters.values()))
    target = log_odds(loglik) / 3
    standardised = (kept - kept.mean(axis=0)) / kept.std(axis=0)
    weights = found / 3 * kept.std(axis=0)
    slope = standardised.T @ (target - target.mean() - standardised @ weights) / ablations
    assert (np.abs(slope) <= 0.05 + 1e-6).all()
    np.testing.assert_allclose(slope[weights != 0], 0.05 * np.sign(weights[weights != 0]), atol=1e-6)


@given(st.lists(st.floats(-1000, 0), min_size=2, max_size=20))
def test_log_odds_are_finite_and_do_not_fall(loglik: list[float]) -> None:
    """Higher log-probabilities have log-odds that are no lower, up to 13.8 at 0."""
    odds = log_odds(np.sort(loglik))
    assert np.isfinite(odds).all()
    assert (np.diff(odds) >= 0).all()
    assert odds.max() < 13.9


def test_log_odds_of_known_probabilities() -> None:
    """They are log p / (1 - p), and log p itself where p is tiny."""
    probabilities = np.array([0.1, 0.5, 0.9])
    np.testing.assert_allclose(log_odds(np.log(probabilities)), np.log(probabilities / (1 - probabilities)))
    assert log_odds(np.array([-800.0])).tolist() == [-800.0]
    assert np.isfinite(log_odds(np.array([0.0, -1e-12, -1e-3]))).all()


def test_only_the_answer_becomes_log_odds() -> None:
    """With another objective the regression is on the objective itself."""
    scorer, chain = AdditiveScorer(SHARES), toy_chain("abc")
    found = ContextCite(regularization=0, of="objective").estimate(chain, scorer, Joint()).scores
    np.testing.assert_allclose(found, [-0.5, -1.25, 1.0], atol=1e-9)


def test_a_unit_that_is_always_there_has_no_score() -> None:
    """A column without spread, and so nothing to learn from, gets the score 0."""

    class Always(ContextCite):
        def _subsets(self, chain: object) -> list[tuple[int, ...]]:
            return [(0,), (0, 1), (0, 1, 2), (0, 2)]

    found = Always(regularization=0, logit=False).estimate(toy_chain("abc"), AdditiveScorer(SHARES), Answer())
    np.testing.assert_allclose(found.scores, [0, -0.25, 2.0], atol=1e-9)


def test_an_answer_that_nothing_changes_scores_zero() -> None:
    """Without any spread of the answer all units score 0, and the model explains all there is."""
    found = ContextCite().estimate(toy_chain("abcdefgh"), AdditiveScorer(), Answer())
    assert found.scores.tolist() == [0.0] * 8
    assert found.diagnostics["fit"] == 1


@given(seed=st.integers(0, 5), keep=st.sampled_from([0.3, 0.5, 0.8]))
@settings(max_examples=20)
def test_subsets_depend_on_seed_chain_and_number_alone(seed: int, keep: float) -> None:
    """More ablations add subsets and change none; another seed or chain has others."""
    chain, other = toy_chain("abcdefghij"), toy_chain("abcdefghij", id="other")
    few, many = (ContextCite(count, keep, seed=seed)._subsets(chain) for count in (8, 32))
    assert few == many[:8]
    assert few != ContextCite(8, keep, seed=seed)._subsets(other)
    assert few != ContextCite(8, keep, seed=seed + 1)._subsets(chain)


def test_each_operator_takes_units_away() -> None:
    """By deletion and knockout an additive unit has its share, by masking its share less that of the replacement."""
    scorer, chain = AdditiveScorer(SHARES), toy_chain("abc")
    expected = {"delete": [0.5, -0.25, 2.0], "knockout": [0.5, -0.25, 2.0], "mask": [-0.5, -1.25, 1.0]}
    for operator, scores in expected.items():
        estimator = ContextCite(regularization=0, logit=False, operator=operator, replacement=".")
        np.testing.assert_allclose(estimator.estimate(chain, scorer, Answer()).scores, scores, atol=1e-9)


def test_a_subset_without_a_number_is_an_error() -> None:
    """The message names chain, objective and subset."""

    class Broken(AdditiveScorer):
        def answer_loglik(self, embeddings: torch.Tensor) -> torch.Tensor:
            return super().answer_loglik(embeddings) + (torch.nan if len(embeddings) == 1 else 0.0)

    with pytest.raises(EstimatorError, match=r"chain 'sick'.*'answer' is nan with units \[0\] kept"):
        ContextCite().estimate(toy_chain("abc", id="sick"), Broken(), Answer())


@pytest.mark.parametrize("parameters", [{"ablations": 1}, {"keep_probability": 1.0}, {"of": "joint"}, {"logit": 1}])
def test_what_is_not_allowed_is_refused(parameters: dict[str, object]) -> None:
    """A parameter outside its constraint is named before any work."""
    with pytest.raises(EstimatorError, match=next(iter(parameters))):
        ContextCite(**parameters).validate_parameters()  # type: ignore[arg-type] # wrong on purpose


@pytest.mark.parametrize(
    "estimator",
    [ContextCite(), ContextCite(of="objective"), ContextCite(8, operator="knockout"), ContextCite(regularization=0)],
    ids=lambda estimator: estimator.label,
)
def test_it_keeps_the_contract(estimator: ContextCite) -> None:
    """ContextCite passes the check that every estimator must pass, in every unit."""
    check_estimator(estimator)


def test_it_keeps_the_contract_when_it_masks() -> None:
    """With a token in the place of others it asks for log-probabilities alone; with embeddings, for gradients alone."""
    check_estimator(ContextCite(8, operator="mask", replacement="."))
    check_estimator(ContextCite(8, operator="mask", replacement="mean"))
