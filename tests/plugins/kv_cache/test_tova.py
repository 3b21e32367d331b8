"""TOVA: what the last position attends to."""

from __future__ import annotations

import numpy as np
import pytest
from tokimp_kv_cache import TOVA

from tokimp.contracts.objective import Joint
from tokimp.errors import EstimatorError
from tokimp.models.loading import load_scorer
from tokimp.testing import AdditiveScorer, check_estimator, toy_chain
from tokimp.testing.random_models import byte_tokenizer, random_model
from tokimp.testing.reference import random_chain, reference_attention

SHARES = {"a": 0.5, "b": -0.25, "c": 1.0}


@pytest.mark.parametrize(("last", "row"), [("reasoning", 3), ("answer", 4)])
def test_it_is_the_mean_over_heads_of_the_last_row(last: str, row: int) -> None:
    """Unscaled, scores are the mean over layers and heads of one row: question ?, reasoning abc, answer xy."""
    chain, scorer = toy_chain("abc", answer="xy"), AdditiveScorer(SHARES)
    expected = scorer.attention(chain)[:, :, row, 1:4].mean(axis=(0, 1))
    found = TOVA(last, scale="none").estimate(chain, scorer, Joint()).scores  # type: ignore[arg-type] # both choices
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_layers_count_alike_as_shares_and_as_ranks() -> None:
    """A share is one of the layer's scores of the reasoning; a rank runs from 0 to 1; both are then averaged."""
    chain, scorer = toy_chain("abc", answer="xy"), AdditiveScorer(SHARES)
    rows = scorer.attention(chain)[:, :, 3, 1:4].mean(axis=1)
    shares = (rows / rows.sum(axis=-1, keepdims=True)).mean(axis=0)
    np.testing.assert_allclose(TOVA().estimate(chain, scorer, Joint()).scores, shares, atol=1e-6)
    ranks = (rows.argsort(axis=-1).argsort(axis=-1) / 2).mean(axis=0)
    np.testing.assert_allclose(TOVA(scale="rank").estimate(chain, scorer, Joint()).scores, ranks, atol=1e-6)


@pytest.mark.parametrize("backend", ["transformer_lens", "nnsight"])
def test_it_is_the_models(backend: str) -> None:
    """On a random llama it is made of the plain model's weights, and costs one pass."""
    chain = random_chain(4, 12, 3)
    scorer = load_scorer(random_model("llama"), backend, device="cpu", tokenizer=byte_tokenizer())
    rows = reference_attention(random_model("llama"), chain)[:, :, 15, 4:16].mean(axis=1)
    expected = (rows / rows.sum(axis=-1, keepdims=True)).mean(axis=0)
    np.testing.assert_allclose(TOVA().estimate(chain, scorer, Joint()).scores, expected, atol=1e-5)
    assert scorer.tokens_forwarded == len(chain)


@pytest.mark.parametrize("parameters", [{"last": "first"}, {"scale": "log"}])
def test_parameters_that_are_not_allowed(parameters: dict[str, str]) -> None:
    """A wrong value is refused by name."""
    (name,) = parameters
    with pytest.raises(EstimatorError, match=rf"tova: {name}=.* is not allowed"):
        TOVA(**parameters).validate_parameters()  # type: ignore[arg-type] # wrong on purpose


@pytest.mark.parametrize("parameters", [{}, {"last": "answer", "scale": "rank"}])
def test_it_keeps_the_contract(parameters: dict[str, str]) -> None:
    """It passes the check that every estimator must pass."""
    check_estimator(TOVA(**parameters))  # type: ignore[arg-type] # allowed choices
