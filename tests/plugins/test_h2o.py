"""H2O: attention accumulated from later positions, as a sum or as a mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokimp_attention import Attention
from tokimp_h2o import H2O

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import Answer, Joint
from tokimp.errors import EstimatorError
from tokimp.models.loading import load_scorer
from tokimp.testing import AdditiveScorer, check_estimator, toy_chain
from tokimp.testing.random_models import byte_tokenizer, random_model
from tokimp.testing.reference import random_chain, reference_attention

SHARES = {"a": 0.5, "b": -0.25, "c": 1.0, "d": -1.5}
Weights = npt.NDArray[np.floating[Any]]


def accumulated(weights: Weights, chain: TokenizedChain, *, normalise: bool) -> Weights:
    """Return what later positions give each reasoning token, the mean over layers and heads, by loops."""
    layers, heads, total, _ = weights.shape
    start = len(chain.prompt_ids)
    found = np.zeros(len(chain.reasoning_ids))
    for token in range(len(found)):
        later = range(start + token + 1, total)
        for layer in range(layers):
            for head in range(heads):
                received = sum(weights[layer, head, query, start + token] for query in later)
                found[token] += received / (len(later) if normalise else 1) / (layers * heads)
    return found


@pytest.mark.parametrize("normalise", [True, False])
@settings(max_examples=25)
@given(text=st.text("abcd ", min_size=1, max_size=7).filter(str.strip), answer=st.text("xy", min_size=1, max_size=3))
def test_it_is_what_later_positions_give(text: str, answer: str, *, normalise: bool) -> None:
    """Scores are those of loops over the definition, the answer's positions included, the token's own left out."""
    chain, scorer = toy_chain(text, answer=answer), AdditiveScorer(SHARES)
    expected = accumulated(scorer.attention(chain), chain, normalise=normalise)
    found = H2O(normalise=normalise).estimate(chain, scorer, Joint()).scores
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_sum_favours_early_tokens_and_the_mean_does_not() -> None:
    """With the same weight from every later position, the sum counts the positions and the mean is that weight."""

    class Even(AdditiveScorer):
        def pattern(self, chain: TokenizedChain) -> torch.Tensor:
            return torch.full((1, 1, len(chain), len(chain)), 0.25).tril()

    chain = toy_chain("abcd", answer="xyz")
    assert H2O().estimate(chain, Even(), Joint()).scores.tolist() == [1.5, 1.25, 1.0, 0.75]
    assert H2O(normalise=True).estimate(chain, Even(), Joint()).scores.tolist() == [0.25] * 4


def test_a_unit_has_the_attention_of_its_tokens() -> None:
    """A word accumulates what its tokens do."""
    chain, scorer = toy_chain("ab c da", unit="word", answer="xyz"), AdditiveScorer(SHARES)
    per_token = accumulated(scorer.attention(chain), chain, normalise=False)
    expected = [per_token[list(unit)].sum() for unit in chain.units]
    np.testing.assert_allclose(H2O().estimate(chain, scorer, Joint()).scores, expected, atol=1e-5)


@pytest.mark.parametrize("backend", ["transformer_lens", "nnsight"])
def test_it_is_the_models(backend: str) -> None:
    """On a random llama it is the sum of the plain model's weights, and the mean equals attention from all later."""
    chain = random_chain(4, 12, 3)
    scorer = load_scorer(random_model("llama"), backend, device="cpu", tokenizer=byte_tokenizer())
    weights = reference_attention(random_model("llama"), chain)
    expected = accumulated(weights, chain, normalise=False)
    np.testing.assert_allclose(H2O().estimate(chain, scorer, Joint()).scores, expected, atol=1e-5)
    mean = H2O(normalise=True).estimate(chain, scorer, Joint()).scores
    np.testing.assert_allclose(mean, Attention("later").estimate(chain, scorer, Joint()).scores, atol=1e-6)


def test_the_objective_is_not_used() -> None:
    """Accumulated attention is the same whatever is to be preserved."""
    joint, answer = (H2O().estimate(toy_chain("abc"), AdditiveScorer(SHARES), each) for each in (Joint(), Answer()))
    np.testing.assert_array_equal(joint.scores, answer.scores)


@pytest.mark.parametrize("normalise", [1, "yes", None])
def test_parameters_that_are_not_allowed(normalise: Any) -> None:
    """What is neither true nor false is refused by name."""
    with pytest.raises(EstimatorError, match=r"h2o: normalise=.* is not allowed; give true or false"):
        H2O(normalise=normalise).validate_parameters()


@pytest.mark.parametrize("normalise", [True, False])
def test_it_keeps_the_contract(*, normalise: bool) -> None:
    """H2O passes the check that every estimator must pass."""
    check_estimator(H2O(normalise=normalise))
