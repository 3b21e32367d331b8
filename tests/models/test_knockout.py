"""Attention knockout on both backends, against attention weights set to zero and renormalised by hand."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import Answer, Contrast, Joint, Reasoning
from tokimp.contracts.scorer import Capability
from tokimp.errors import ObjectiveError, ScorerError, UnsupportedError
from tokimp.models.causal_lm import CausalLMScorer
from tokimp.models.knockout import cut_from_mask, pairs_to_cut
from tokimp.models.loading import load_scorer
from tokimp.testing.random_models import ARCHITECTURES, byte_tokenizer, random_model
from tokimp.testing.reference import random_chain, reference_logprobs

BACKENDS = ("transformer_lens", "nnsight")
TOLERANCE = 1e-4
CHAIN = random_chain(4, 14, 3, wrong_answer=2)
HIDDEN = [(0,), (5, 6, 7), (2, 9), (13,), ()]

every_backend = pytest.mark.parametrize("backend", BACKENDS)


@cache
def scorer(architecture: str, backend: str) -> CausalLMScorer:
    """Return a backend's scorer of a small random model."""
    loaded = load_scorer(random_model(architecture), backend, device="cpu", tokenizer=byte_tokenizer())
    assert isinstance(loaded, CausalLMScorer)
    return loaded


def knocked_out_by_hand(
    architecture: str, chain: TokenizedChain, hidden: Sequence[int], answer: Sequence[int], patch: pytest.MonkeyPatch
) -> tuple[float, float]:
    """Return log P(reasoning) and log P(answer) with weights zeroed after the softmax and divided by what is left."""
    model, begin = random_model(architecture), len(chain.prompt_ids)
    positions = {begin + position for position in hidden}
    module = sys.modules[type(model).__module__]
    original: Callable[..., Any] = module.eager_attention_forward

    def by_hand(
        layer: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *rest: Any, **named: Any
    ) -> Any:
        _, weights = original(layer, query, key, value, *rest, **named)
        weights = weights.clone()
        for q in range(weights.shape[-2]):
            for k in positions:
                if q > k and q not in positions:
                    weights[..., q, k] = 0
        weights = weights / weights.sum(dim=-1, keepdim=True)
        values = value.repeat_interleave(weights.shape[1] // value.shape[1], dim=1)
        return (weights @ values).transpose(1, 2).contiguous(), weights

    with patch.context() as patched:
        patched.setattr(module, "eager_attention_forward", by_hand)
        found = reference_logprobs(model, chain.prompt_ids, [*chain.reasoning_ids, *answer])
    count = len(chain.reasoning_ids)
    return float(found[:count].sum()), float(found[count:].sum())


@given(
    length=st.integers(1, 9),
    hidden=st.lists(st.sets(st.integers(0, 8)), min_size=1, max_size=3),
)
def test_pairs_are_cut_from_later_positions_that_are_not_hidden(length: int, hidden: list[set[int]]) -> None:
    """A pair is cut exactly where the key is hidden, the query comes after it and is not hidden itself."""
    rows = [[position for position in row if position < length] for row in hidden]
    found = pairs_to_cut(length, rows)
    for row, positions in enumerate(rows):
        for q in range(length):
            for k in range(length):
                assert bool(found[row, q, k]) == (k in positions and q > k and q not in positions)


def test_every_kind_of_mask_loses_the_pairs() -> None:
    """No mask, a mask of truths and one that is added allow afterwards what they allowed before, less the pairs."""
    cut = pairs_to_cut(4, [[1], [0, 2]])
    causal = torch.ones(2, 1, 4, 4, dtype=torch.bool).tril()
    window = causal.triu(-1)
    added = torch.zeros(2, 1, 4, 4).masked_fill(~window, torch.finfo(torch.float32).min)
    assert torch.equal(cut_from_mask(None, cut), causal & ~cut[:, None])
    assert torch.equal(cut_from_mask(window, cut), window & ~cut[:, None])
    assert torch.equal(cut_from_mask(added, cut) == 0, window & ~cut[:, None])


@every_backend
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_knockout_is_weights_set_to_zero(architecture: str, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Joint, answer and contrast are those of weights zeroed and renormalised by hand, windows and groups included."""
    subject = scorer(architecture, backend)
    assert Capability.KNOCKOUT in subject.capabilities
    joint, answer, contrast = (subject.score_knockouts(CHAIN, HIDDEN, each) for each in (Joint(), Answer(), Contrast()))
    assert joint.dtype == np.float64
    assert CHAIN.wrong_answer_ids is not None
    for index, hidden in enumerate(HIDDEN):
        reasoning, right = knocked_out_by_hand(architecture, CHAIN, hidden, CHAIN.answer_ids, monkeypatch)
        _, wrong = knocked_out_by_hand(architecture, CHAIN, hidden, CHAIN.wrong_answer_ids, monkeypatch)
        assert joint[index] == pytest.approx(reasoning + right, abs=TOLERANCE)
        assert answer[index] == pytest.approx(right, abs=TOLERANCE)
        assert contrast[index] == pytest.approx(right - wrong, abs=TOLERANCE)
    assert np.ptp(joint) > 0.1  # the knockouts matter to this model


@every_backend
def test_what_precedes_a_hidden_token_is_as_it_was(backend: str) -> None:
    """Hiding the last reasoning token changes no prediction of reasoning; hiding nothing changes nothing at all."""
    subject = scorer("llama", backend)
    (full,) = subject.logprobs([CHAIN])
    last, nothing = subject.score_knockouts(CHAIN, [(13,), ()], Reasoning())
    assert last == pytest.approx(full.reasoning.sum(), abs=TOLERANCE)
    assert nothing == pytest.approx(full.reasoning.sum(), abs=TOLERANCE)
    assert subject.score_knockouts(CHAIN, [()], Answer())[0] == pytest.approx(full.answer.sum(), abs=TOLERANCE)


@pytest.mark.parametrize("architecture", ["llama", "mistral", "gemma3_text", "gpt2"])
def test_fused_attention_gives_the_same(architecture: str) -> None:
    """A model that runs torch's fused attention, where a mask may be missing or made of truths, scores the same."""
    model = random_model(architecture)
    model.set_attn_implementation("sdpa")
    fused = load_scorer(model, "nnsight", device="cpu", tokenizer=byte_tokenizer())
    eager = scorer(architecture, "nnsight").score_knockouts(CHAIN, HIDDEN, Joint())
    np.testing.assert_allclose(fused.score_knockouts(CHAIN, HIDDEN, Joint()), eager, atol=TOLERANCE)


@every_backend
def test_batches_change_cost_and_numbers_not_at_all(backend: str) -> None:
    """One row at a time or all at once: the same numbers, and every position of every row counted."""
    options: dict[str, Any] = {"device": "cpu", "tokenizer": byte_tokenizer()}
    found = []
    limited: list[dict[str, Any]] = [{}, {"batch_positions": 1}, {"logits_budget": 1}]
    for limits in limited:
        subject = load_scorer(random_model("llama"), backend, **options, **limits)
        assert subject.tokens_forwarded == 0
        found.append(subject.score_knockouts(CHAIN, HIDDEN, Contrast()))
        right, wrong = len(CHAIN) - 1, len(CHAIN) - 2
        assert subject.tokens_forwarded == len(HIDDEN) * (right + wrong)
    np.testing.assert_allclose(found[1], found[0], atol=TOLERANCE)
    np.testing.assert_allclose(found[2], found[0], atol=TOLERANCE)


@every_backend
def test_it_leaves_no_hook_behind(backend: str) -> None:
    """After knockouts the model gives the log-probabilities that it gave before."""
    subject = scorer("qwen3", backend)
    (before,) = subject.logprobs([CHAIN])
    subject.score_knockouts(CHAIN, HIDDEN, Joint())
    (after,) = subject.logprobs([CHAIN])
    np.testing.assert_array_equal(after.reasoning, before.reasoning)
    np.testing.assert_array_equal(after.answer, before.answer)


@every_backend
def test_half_precision_has_the_capability_and_finite_numbers(backend: str) -> None:
    """In bfloat16 cutting still hides a token, and scores are finite and near those in float32."""
    subject = load_scorer(random_model("qwen3"), backend, device="cpu", dtype="bfloat16", tokenizer=byte_tokenizer())
    assert Capability.KNOCKOUT in subject.capabilities
    expected = scorer("qwen3", backend).score_knockouts(CHAIN, HIDDEN, Answer())
    np.testing.assert_allclose(subject.score_knockouts(CHAIN, HIDDEN, Answer()), expected, atol=1.0)


@every_backend
def test_layers_without_attention_are_refused(backend: str) -> None:
    """A model whose convolutions pass tokens on lacks the capability, and the error says so."""
    sizes: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3}
    sizes |= {"num_attention_heads": 4, "num_key_value_heads": 2, "layer_types": ["conv", "full_attention", "conv"]}
    subject = load_scorer(random_model("lfm2", **sizes), backend, device="cpu", tokenizer=byte_tokenizer())
    assert Capability.KNOCKOUT not in subject.capabilities
    with pytest.raises(UnsupportedError, match="does not hide a token"):
        subject.score_knockouts(CHAIN, HIDDEN, Joint())


@every_backend
def test_a_hook_that_changes_nothing_is_found_out(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a backend shows attention but does not let it be changed, the scorer does not claim the capability."""
    kind = type(scorer("llama", backend).decoder.backend)
    monkeypatch.setattr(kind, "forward_cut", lambda self, ids, cut, **inputs: self.forward(ids, **inputs))
    subject = load_scorer(random_model("llama"), backend, device="cpu", tokenizer=byte_tokenizer())
    assert frozenset(Capability) - subject.capabilities == {Capability.KNOCKOUT, Capability.KNOCKOUT_LOGPROBS}


@every_backend
def test_a_backend_need_not_cut_attention(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend that does not write the operation loads as ever, without the capability."""
    kind = type(scorer("llama", backend).decoder.backend)
    monkeypatch.delattr(kind, "forward_cut")
    subject = load_scorer(random_model("llama"), backend, device="cpu", tokenizer=byte_tokenizer())
    assert frozenset(Capability) - subject.capabilities == {Capability.KNOCKOUT, Capability.KNOCKOUT_LOGPROBS}


@pytest.mark.parametrize("hidden", [(-1,), (14,), (3, 3)])
def test_positions_outside_the_reasoning_are_refused(hidden: tuple[int, ...]) -> None:
    """A knockout of what is no reasoning token, or of one token twice, is an error that names it."""
    with pytest.raises(ScorerError, match=r"knockout 1 \(.*\) must name reasoning tokens \(0 to 13\)"):
        scorer("llama", "nnsight").score_knockouts(CHAIN, [(0,), hidden], Joint())


def test_what_the_objective_lacks_is_an_error() -> None:
    """The objective contrast on a chain without a wrong answer is refused before the model runs."""
    with pytest.raises(ObjectiveError, match="needs a wrong answer"):
        scorer("llama", "nnsight").score_knockouts(random_chain(3, 4, 2), [(0,)], Contrast())


def test_no_knockouts_give_nothing() -> None:
    """Asked for no knockout, a scorer returns no number."""
    assert scorer("llama", "nnsight").score_knockouts(CHAIN, [], Joint()).shape == (0,)
