"""Predictions under knockouts on both backends, against attention weights set to zero and renormalised by hand."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from tokimp.errors import ScorerError
from tokimp.models.causal_lm import CausalLMScorer
from tokimp.models.knockout import pairs_to_cut, spared
from tokimp.models.knockout_predictions import divergences
from tokimp.models.loading import load_scorer
from tokimp.testing.random_models import byte_tokenizer, random_model
from tokimp.testing.reference import random_chain

CHAIN = random_chain(4, 16, 3)
# The third covers more than the window of 8 tokens of some layers of Gemma 2, which then have nothing else to see.
HIDDEN = [(0,), (5, 6, 7), tuple(range(2, 13)), (15,), ()]

every_backend = pytest.mark.parametrize("backend", ["transformer_lens", "nnsight"])


@cache
def scorer(architecture: str, backend: str) -> CausalLMScorer:
    """Return a backend's scorer of a small random model."""
    loaded = load_scorer(random_model(architecture), backend, device="cpu", tokenizer=byte_tokenizer())
    assert isinstance(loaded, CausalLMScorer)
    return loaded


def logits_by_hand(architecture: str, hidden: tuple[int, ...], queries: str, patch: pytest.MonkeyPatch) -> torch.Tensor:
    """Return logits with weights zeroed after the softmax and divided by what is left, [position, vocabulary]."""
    model, begin = random_model(architecture), len(CHAIN.prompt_ids)
    positions = {begin + position for position in hidden}
    module = sys.modules[type(model).__module__]
    original: Callable[..., Any] = module.eager_attention_forward

    def by_hand(
        layer: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *rest: Any, **named: Any
    ) -> Any:
        _, weights = original(layer, query, key, value, *rest, **named)
        cut = weights.clone()
        for q in range(cut.shape[-2]):
            if queries == "later" and q in positions:
                continue
            cut[..., q, [k for k in positions if k <= q]] = 0
        left = cut.sum(dim=-1, keepdim=True)
        weights = torch.where(left > 0, cut / left, weights)
        values = value.repeat_interleave(weights.shape[1] // value.shape[1], dim=1)
        return (weights @ values).transpose(1, 2).contiguous(), weights

    with patch.context() as patched, torch.no_grad():
        patched.setattr(module, "eager_attention_forward", by_hand)
        logits: torch.Tensor = model(torch.tensor([CHAIN.input_ids]), use_cache=False).logits[0].double()
    return logits[begin - 1 : -1]


@every_backend
@pytest.mark.parametrize("queries", ["later", "all"])
@pytest.mark.parametrize("architecture", ["llama", "gemma2"])
def test_predictions_are_those_without_the_weights(
    architecture: str, queries: Any, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Log-probabilities and divergences are those of logits computed by hand, whichever queries lose the keys."""
    subject, targets = scorer(architecture, backend), list(CHAIN.reasoning_ids + CHAIN.answer_ids)
    logprobs = subject.knockout_logprobs(CHAIN, HIDDEN, queries=queries)
    moved = subject.knockout_divergences(CHAIN, HIDDEN, queries=queries, temperature=0.6)
    before = (logits_by_hand(architecture, (), queries, monkeypatch) / 0.6).log_softmax(dim=-1)
    for row, hidden in enumerate(HIDDEN):
        logits = logits_by_hand(architecture, hidden, queries, monkeypatch)
        expected = logits.log_softmax(dim=-1)[range(len(targets)), targets]
        np.testing.assert_allclose(logprobs[row], expected, atol=1e-4)
        divergence = (before.exp() * (before - (logits / 0.6).log_softmax(dim=-1))).sum(dim=-1)
        np.testing.assert_allclose(moved[row], divergence, atol=1e-4)


@every_backend
def test_batches_of_any_size_give_the_same(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One knockout at a time, beside the unchanged row, gives what many at once give."""
    subject = scorer("llama", backend)
    together = subject.knockout_divergences(CHAIN, HIDDEN)
    monkeypatch.setattr(subject.decoder.budget, "positions", len(CHAIN))
    before = subject.tokens_forwarded
    np.testing.assert_allclose(subject.knockout_divergences(CHAIN, HIDDEN), together, atol=1e-5)
    assert subject.tokens_forwarded - before == 2 * len(HIDDEN) * (len(CHAIN) - 1)


def test_a_hidden_token_is_cut_from_all_or_from_later_queries() -> None:
    """Asked for all queries, hidden tokens also lose each other and themselves."""
    assert pairs_to_cut(4, [[1, 2]], "all")[0].int().tolist() == [
        [0, 0, 0, 0],
        [0, 1, 0, 0],
        [0, 1, 1, 0],
        [0, 1, 1, 0],
    ]
    assert pairs_to_cut(4, [[1, 2]], "later")[0].int().tolist()[3] == [0, 1, 1, 0]


def test_a_query_that_would_see_nothing_is_spared() -> None:
    """Pairs of a query whose every visible key would go are not cut."""
    visible = torch.ones(1, 1, 3, 3, dtype=torch.bool).tril()
    pairs = torch.tensor([[[[1, 0, 0], [1, 0, 0], [1, 1, 1]]]], dtype=torch.bool)
    assert spared(visible, pairs)[0, 0].int().tolist() == [[0, 0, 0], [1, 0, 0], [0, 0, 0]]


def test_divergence_of_worked_numbers() -> None:
    """KL((1/2, 1/2) || (1/4, 3/4)) is ln 2 - ln 3 / 2, at temperature 2 less; what is impossible adds nothing."""
    even = torch.tensor([[[0.5, 0.5, 0.0]]]).log()
    moved = torch.tensor([[[0.25, 0.75, 0.0]]]).log()
    np.testing.assert_allclose(divergences(even, moved, 1.0), [[np.log(2) - np.log(3) / 2]], atol=1e-6)
    root = np.sqrt([0.25, 0.75])
    softer = np.log(0.5) - np.log(root / root.sum()).mean()
    np.testing.assert_allclose(divergences(even, moved, 2.0), [[softer]], atol=1e-6)


def test_what_is_no_knockout_is_refused() -> None:
    """Positions that are not the reasoning's, other queries and a temperature of 0 are errors."""
    subject = scorer("llama", "nnsight")
    with pytest.raises(ScorerError, match="must name reasoning tokens"):
        subject.knockout_logprobs(CHAIN, [(16,)])
    with pytest.raises(ScorerError, match="'later' or 'all', not 'none'"):
        subject.knockout_logprobs(CHAIN, [(1,)], queries="none")  # type: ignore[arg-type] # wrong on purpose
    with pytest.raises(ScorerError, match="a temperature is above 0, not 0"):
        subject.knockout_divergences(CHAIN, [(1,)], temperature=0)
