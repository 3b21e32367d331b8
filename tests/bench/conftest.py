"""A small model with random weights, shared by the tests of measurements."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from tokimp.models.causal_lm import CausalLMScorer
from tokimp.models.loading import load_scorer
from tokimp.testing.random_models import byte_tokenizer, random_model


@pytest.fixture(scope="session")
def random_scorer() -> Callable[..., CausalLMScorer]:
    """Return what gives a scorer of a small model with random weights, for whose batches calls cost nothing."""

    @cache
    def load(architecture: str, packed: bool = False) -> CausalLMScorer:
        loaded = load_scorer(
            random_model(architecture), "nnsight", device="cpu", tokenizer=byte_tokenizer(), packed=packed
        )
        assert isinstance(loaded, CausalLMScorer)
        loaded.decoder.call_cost = 0
        return loaded

    return load


@pytest.fixture
def scorer(random_scorer: Callable[..., CausalLMScorer]) -> CausalLMScorer:
    """Return a scorer of a small llama."""
    return random_scorer("llama")
