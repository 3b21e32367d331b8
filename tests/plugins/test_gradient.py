"""Gradients of functions whose gradients are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokimp_gradient import Gradient

from tokimp.contracts.objective import Answer, Joint, Reasoning
from tokimp.errors import EstimatorError
from tokimp.testing import AdditiveScorer, check_estimator, toy_chain

SHARES = {"a": 0.5, "b": -0.25, "c": 2.0, " ": 0.125, ".": 1.0}
WEIGHT = 0.75
texts = st.text("abc. ", min_size=1, max_size=10).filter(str.strip)
units = st.sampled_from(["token", "word", "sentence"])


class CurvedScorer(AdditiveScorer):
    """log P(answer) = exp(s / 4) + 0.75 * (sum of the second coordinates), with s the sum of the contributions."""

    def answer_loglik(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Return that value."""
        return torch.exp(embeddings[:, 0].sum() / 4) + WEIGHT * embeddings[:, 1].sum()


def slopes(text: str) -> tuple[float, float]:
    """Return the gradient that `CurvedScorer` has at each token of a text, the same for all."""
    return float(np.exp(sum(SHARES[c] for c in text) / 4) / 4), WEIGHT


@pytest.mark.parametrize("method", ["input_x_gradient", "integrated_gradients"])
@pytest.mark.parametrize("steps", [1, 5])
def test_a_linear_objective_gives_the_shares(method: Any, steps: int) -> None:
    """Where tokens add up, gradient x input and integrated gradients from zero are what each adds."""
    found = Gradient(method, steps=steps, baseline="zero").estimate(toy_chain("abc"), AdditiveScorer(SHARES), Answer())
    np.testing.assert_allclose(found.scores, [0.5, -0.25, 2.0], atol=1e-6)


def test_absolute_is_without_sign() -> None:
    """A token that works against the objective is as important as one that works as much for it."""
    found = Gradient("absolute_input_x_gradient").estimate(toy_chain("abc"), AdditiveScorer(SHARES), Answer())
    np.testing.assert_allclose(found.scores, [0.5, 0.25, 2.0], atol=1e-6)


@given(text=texts, unit=units)
def test_a_unit_is_one_input(text: str, unit: str) -> None:
    """Inner products add up over a unit's tokens, absolute values are of sums, norms of all together."""
    chain, scorer = toy_chain(text, unit=unit), CurvedScorer(SHARES)
    first, second = slopes(text)
    products = [sum(SHARES[text[p]] * first + second for p in tokens) for tokens in chain.units]
    norms = [np.linalg.norm([(first, second) for _ in tokens]) for tokens in chain.units]
    expected: dict[Any, Any] = {
        "input_x_gradient": products,
        "absolute_input_x_gradient": np.abs(products),
        "l2_norm": norms,
    }
    for method, scores in expected.items():
        found = Gradient(method).estimate(chain, scorer, Joint())
        np.testing.assert_allclose(found.scores, scores, rtol=1e-5, atol=1e-5)


@given(text=texts, unit=units)
def test_integrated_gradients_have_their_closed_form(text: str, unit: str) -> None:
    """From zero, exp(s / 4) is shared out in proportion to the contributions, and the linear part as it stands."""
    chain, scorer = toy_chain(text, unit=unit), CurvedScorer(SHARES)
    total = sum(SHARES[c] for c in text)
    share = (np.exp(total / 4) - 1) / total if total else 0.25
    expected = [sum(SHARES[text[p]] * share + WEIGHT for p in tokens) for tokens in chain.units]
    found = Gradient("integrated_gradients", baseline="zero").estimate(chain, scorer, Answer())
    np.testing.assert_allclose(found.scores, expected, rtol=1e-5, atol=1e-5)
    change = np.exp(total / 4) - 1 + WEIGHT * len(text)
    assert found.scores.sum() == pytest.approx(change, rel=1e-5)
    assert found.diagnostics["completeness_gap"] == pytest.approx(0, abs=1e-4)


def test_the_completeness_gap_is_what_is_missed() -> None:
    """With one step the scores are those of the middle of the line; the gap is their sum minus the change."""
    found = Gradient("integrated_gradients", 1, "zero").estimate(toy_chain("cc"), CurvedScorer(SHARES), Answer())
    scores, change = 2 * (2.0 * np.exp(0.5) / 4 + WEIGHT), np.exp(1.0) - 1 + 2 * WEIGHT
    assert found.scores.sum() == pytest.approx(scores, rel=1e-6)
    assert found.diagnostics["completeness_gap"] == pytest.approx(scores - change, rel=1e-5)
    assert found.diagnostics["completeness_gap_relative"] == pytest.approx((change - scores) / change, rel=1e-5)


def test_more_steps_close_the_gap() -> None:
    """Gauss-Legendre points close the gap fast: two steps miss less than a tenth of what one misses."""
    one, two = (
        Gradient("integrated_gradients", n, "zero").estimate(toy_chain("cc"), CurvedScorer(SHARES), Answer())
        for n in (1, 2)
    )
    assert abs(two.diagnostics["completeness_gap"]) < 0.1 * abs(one.diagnostics["completeness_gap"])


def test_the_mean_baseline_is_the_chains_own() -> None:
    """From the chain's mean embedding, a linear objective gives each token its distance from the mean."""
    found = Gradient("integrated_gradients", baseline="mean").estimate(
        toy_chain("abc"), AdditiveScorer(SHARES), Answer()
    )
    np.testing.assert_allclose(found.scores, np.array([0.5, -0.25, 2.0]) - 0.75, atol=1e-6)


def test_the_line_begins_at_the_mean_baseline() -> None:
    """Where the objective is a sum of squares, a token's score is its square minus that of the mean."""
    found = Gradient("integrated_gradients", baseline="mean").estimate(
        toy_chain("abc"), QuadraticScorer(SHARES), Answer()
    )
    np.testing.assert_allclose(found.scores, np.array([0.25, 0.0625, 4.0]) - 0.75**2, rtol=1e-5)


class QuadraticScorer(AdditiveScorer):
    """log P(answer) is the sum of the contributions' squares."""

    def answer_loglik(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Return the sum of squares."""
        return (embeddings[:, 0] ** 2).sum()


@pytest.mark.parametrize("method", ["input_x_gradient", "absolute_input_x_gradient", "l2_norm", "integrated_gradients"])
def test_an_objective_that_no_embedding_changes(method: Any) -> None:
    """Where nothing depends on the reasoning's embeddings every score is 0, and so is the gap."""
    found = Gradient(method).estimate(toy_chain("abc"), AdditiveScorer(SHARES), Reasoning())
    assert found.scores.tolist() == [0, 0, 0]
    assert set(found.diagnostics.values()) <= {0.0}


def test_each_step_costs_one_pass() -> None:
    """Integrated gradients pass the chain once a step, once for its embeddings and twice for the gap."""
    scorer, chain = AdditiveScorer(SHARES), toy_chain("abc")
    Gradient("integrated_gradients", steps=7).estimate(chain, scorer, Answer())
    assert scorer.tokens_forwarded == (7 + 1 + 2) * len(chain)
    Gradient().estimate(chain, scorer, Answer())
    assert scorer.tokens_forwarded == (7 + 1 + 2 + 1) * len(chain)


@pytest.mark.parametrize("method", ["l2_norm", "integrated_gradients"])
def test_a_gradient_that_is_not_finite(method: Any) -> None:
    """An infinite gradient raises an error that names chain, objective and token."""

    class Steep(AdditiveScorer):
        def answer_loglik(self, embeddings: torch.Tensor) -> torch.Tensor:
            return torch.sqrt((embeddings[:, 0] - embeddings[:, 0].detach()).abs() ** 1.5 + embeddings[:, 0] * 0).sum()

    with pytest.raises(EstimatorError, match=r"chain 'sick'.*gradient of 'answer' is not finite at reasoning token 0"):
        Gradient(method).estimate(toy_chain("abc", id="sick"), Steep(SHARES), Answer())


@pytest.mark.parametrize(
    "parameters",
    [
        {"method": "saliency"},
        {"baseline": "pad"},
        {"steps": 0},
        {"steps": 2.5},
        {"steps": True},
        {"method": ["l2_norm"]},
    ],
)
def test_parameters_that_are_not_allowed(parameters: dict[str, Any]) -> None:
    """A value that is none of the choices is refused before any work, by the parameter's name."""
    with pytest.raises(EstimatorError, match=f"gradient: {next(iter(parameters))}=.* is not allowed; give"):
        Gradient(**parameters).validate_parameters()


@pytest.mark.parametrize("baseline", ["zero", "mean"])
@pytest.mark.parametrize("method", ["input_x_gradient", "absolute_input_x_gradient", "l2_norm", "integrated_gradients"])
def test_it_keeps_the_contract(method: Any, baseline: Any) -> None:
    """Gradient passes the check that every estimator must pass."""
    check_estimator(Gradient(method, steps=3, baseline=baseline))
