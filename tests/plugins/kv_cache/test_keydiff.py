"""KeyDiff: how far a key points away from the others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tokimp_kv_cache import KeyDiff

from tokimp.contracts.objective import Joint
from tokimp.errors import EstimatorError
from tokimp.models.loading import load_scorer
from tokimp.testing import AdditiveScorer, check_estimator, toy_chain
from tokimp.testing.random_models import byte_tokenizer, random_model
from tokimp.testing.reference import random_chain

SHARES = {"a": 0.5, "b": -0.25, "c": 1.0, "d": -1.5}


@pytest.mark.parametrize("backend", ["transformer_lens", "nnsight"])
@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_it_is_made_of_the_models_cached_keys(architecture: str, backend: str) -> None:
    """Scores are those of loops over the keys that the plain model caches for prompt and reasoning, in one pass."""
    chain, model = random_chain(4, 10, 3), random_model(architecture)
    with torch.no_grad():
        cached = model(torch.tensor([chain.input_ids[:14]]), use_cache=True).past_key_values
    expected = np.zeros(10)
    for layer in cached.layers:
        for head in layer.keys[0].double().numpy():
            unit = head / np.linalg.norm(head, axis=1, keepdims=True)
            anchor = unit.mean(axis=0)
            expected -= unit[4:] @ anchor / np.linalg.norm(anchor) / layer.keys.shape[1] / 3
    scorer = load_scorer(model, backend, device="cpu", tokenizer=byte_tokenizer())
    found = KeyDiff(scale="none").estimate(chain, scorer, Joint()).scores
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert scorer.tokens_forwarded == len(chain)


def test_units_have_the_mean_of_their_tokens() -> None:
    """A word has the mean, so that length does not count."""
    scorer = AdditiveScorer(SHARES)
    token, word = (
        KeyDiff().estimate(toy_chain("ab c dd", unit=unit), scorer, Joint()).scores for unit in ("token", "word")
    )
    np.testing.assert_allclose(word, [token[:2].mean(), token[2:4].mean(), token[4:].mean()])


def test_a_wrong_scale_is_refused() -> None:
    """Scores that may be negative have no shares."""
    wrong: Any = "share"
    with pytest.raises(EstimatorError, match="keydiff: scale='share' is not allowed"):
        KeyDiff(wrong).validate_parameters()


@pytest.mark.parametrize("scale", ["rank", "none"])
def test_it_keeps_the_contract(scale: Any) -> None:
    """It passes the check that every estimator must pass."""
    check_estimator(KeyDiff(scale))
