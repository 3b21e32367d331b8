"""Expected Attention: what queries to come are expected to attend to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tokimp_kv_cache import ExpectedAttention
from transformers.models.llama import modeling_llama

from tokimp.contracts.objective import Joint
from tokimp.errors import EstimatorError
from tokimp.models.loading import load_scorer
from tokimp.testing import AdditiveScorer, check_estimator, toy_chain
from tokimp.testing.random_models import byte_tokenizer, random_model
from tokimp.testing.reference import random_chain

CHAIN = random_chain(5, 8, 3)
rotate_half: Any = modeling_llama.rotate_half
SINKS, FUTURE, EPSILON = 2, 7, 0.01


def by_loops(*, covariance: bool, value_norm: bool) -> np.ndarray:
    """Return the scores of llama's reasoning tokens from its own projections, head by head and key by key."""
    model: Any = random_model("llama")
    stop = CHAIN.reasoning_span[1]
    with torch.no_grad():
        output = model(torch.tensor([CHAIN.input_ids]), output_hidden_states=True, use_cache=True)
        total = np.zeros(len(CHAIN.reasoning_ids))
        heads, groups = model.config.num_attention_heads, model.config.num_key_value_heads
        for number, layer in enumerate(model.model.layers):
            hidden = layer.input_layernorm(output.hidden_states[number])
            plain = layer.self_attn.q_proj(hidden)[0].view(len(CHAIN), heads, -1).transpose(0, 1)[:, SINKS:stop]
            places = torch.arange(stop, stop + FUTURE)[None]
            cosines, sines = model.model.rotary_emb(hidden, places)
            for group in range(groups):
                keys = output.past_key_values.layers[number].keys[0, group, SINKS:stop].double()
                values = output.past_key_values.layers[number].values[0, group, SINKS:stop].double()
                score = torch.zeros(len(keys), dtype=torch.float64)
                members = range(group * heads // groups, (group + 1) * heads // groups)
                for head in members:
                    turned = [
                        plain[head] * cosine + rotate_half(plain[head]) * sine
                        for cosine, sine in zip(cosines[0], sines[0], strict=True)
                    ]
                    queries = torch.stack(turned).mean(dim=0).double()
                    mean, sigma = queries.mean(dim=0), torch.cov(queries.T, correction=0)
                    width = queries.shape[1]
                    logits = [
                        float(mean @ key / width**0.5 + covariance * (key @ sigma @ key) / (2 * width)) for key in keys
                    ]
                    score += torch.tensor(logits, dtype=torch.float64).softmax(dim=0) / len(members)
                if value_norm:
                    score = (score + EPSILON) * values.norm(dim=1)
                total += score[len(CHAIN.prompt_ids) - SINKS :].numpy() / groups / len(model.model.layers)
    return total


@pytest.mark.parametrize("backend", ["transformer_lens", "nnsight"])
@pytest.mark.parametrize(("covariance", "value_norm"), [(True, True), (False, True), (True, False)])
def test_it_is_made_of_the_models_own_queries(backend: str, covariance: bool, value_norm: bool) -> None:
    """Scores are those of loops over the plain model's projections, each future position rotated by itself."""
    scorer = load_scorer(random_model("llama"), backend, device="cpu", tokenizer=byte_tokenizer())
    estimator = ExpectedAttention(
        FUTURE, sinks=SINKS, covariance=covariance, value_norm=value_norm, epsilon=EPSILON, scale="none"
    )
    found = estimator.estimate(CHAIN, scorer, Joint()).scores
    np.testing.assert_allclose(found, by_loops(covariance=covariance, value_norm=value_norm), rtol=2e-3)
    assert scorer.tokens_forwarded == len(CHAIN)


def test_tokens_among_the_sinks_have_the_highest_score() -> None:
    """Of a prompt of one token, the first reasoning tokens are sinks."""
    scorer, chain = AdditiveScorer({"b": 2.0, "c": 1.0}), toy_chain("abc", question="q")
    assert len(chain.prompt_ids) == 1
    scores = ExpectedAttention(sinks=2, scale="none").estimate(chain, scorer, Joint()).scores
    np.testing.assert_allclose(scores, [1.5, 1.5, 1.0])
    alone = ExpectedAttention(sinks=99, scale="none").estimate(chain, scorer, Joint()).scores
    np.testing.assert_allclose(alone, [2.0, 2.0, 2.0])


def test_units_have_the_sum_of_their_tokens() -> None:
    """A word has the sum of its tokens' shares, which add up to 1."""
    scorer = AdditiveScorer({"b": 2.0})
    token, word = (
        ExpectedAttention().estimate(toy_chain("ab c", unit=unit), scorer, Joint()).scores for unit in ("token", "word")
    )
    assert token.sum() == pytest.approx(1)
    np.testing.assert_allclose(word, [token[:2].sum(), token[2:].sum()])


@pytest.mark.parametrize(("parameter", "value"), [("future", 0), ("sinks", -1), ("epsilon", -0.1), ("scale", "sum")])
def test_parameters_are_checked(parameter: str, value: Any) -> None:
    """A value that is not allowed is named."""
    with pytest.raises(EstimatorError, match=rf"expected_attention: {parameter}=.* is not allowed"):
        ExpectedAttention(**{parameter: value}).validate_parameters()


@pytest.mark.parametrize("scale", ["share", "rank", "none"])
def test_it_keeps_the_contract(scale: Any) -> None:
    """It passes the check that every estimator must pass."""
    check_estimator(ExpectedAttention(scale=scale))
