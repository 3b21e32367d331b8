"""Both backends against plain transformers: the same numbers for the same ids, on every architecture."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from tokimp_transformer_lens.backend import TransformerLensBackend

from tokimp.contracts.objective import Contrast, Joint
from tokimp.contracts.scorer import Capability
from tokimp.errors import UnsupportedError
from tokimp.models.causal_lm import CausalLMScorer
from tokimp.models.loading import load_scorer
from tokimp.testing.random_models import ARCHITECTURES, byte_tokenizer, random_model
from tokimp.testing.reference import (
    random_chain,
    reference_attention,
    reference_deletion,
    reference_gradients,
    reference_logprobs,
)

BACKENDS = ("transformer_lens", "nnsight")
TOLERANCE = 1e-4
LFM2 = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "layer_types": ["conv", "full_attention", "conv"],
}

every_model = pytest.mark.parametrize("architecture", ARCHITECTURES)
every_backend = pytest.mark.parametrize("backend", BACKENDS)


@cache
def plain(architecture: str) -> Any:
    """Return the reference: a model that no backend ever touches."""
    return random_model(architecture)


@cache
def scorer(architecture: str, backend: str) -> CausalLMScorer:
    """Return a backend's scorer of the same weights."""
    loaded = load_scorer(plain(architecture), backend, device="cpu", tokenizer=byte_tokenizer())
    assert isinstance(loaded, CausalLMScorer)
    return loaded


@every_backend
@every_model
def test_logprobs_of_unequal_chains_are_those_of_each_alone(architecture: str, backend: str) -> None:
    """Chains of unequal lengths in one batch get the log-probabilities that each has alone, in the order given."""
    chains = [random_chain(5, 20, 4), random_chain(9, 6, 2, seed=1), random_chain(1, 15, 1, seed=2)]
    for chain, found in zip(chains, scorer(architecture, backend).logprobs(chains), strict=True):
        assert found.reasoning.dtype == found.answer.dtype == np.float32
        expected = reference_logprobs(plain(architecture), chain.prompt_ids, chain.reasoning_ids + chain.answer_ids)
        np.testing.assert_allclose(np.concatenate([found.reasoning, found.answer]), expected, atol=TOLERANCE)
        assert len(found.answer) == len(chain.answer_ids)


@every_backend
@every_model
@pytest.mark.parametrize("reuse_kv", [True, False])
def test_deletions_score_what_the_shortened_ids_score(
    architecture: str, backend: str, *, reuse_kv: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With and without shared keys and values, a deletion scores what a forward pass over the remaining ids does."""
    subject, model = scorer(architecture, backend), plain(architecture)
    monkeypatch.setattr(subject.decoder, "reuse_kv", reuse_kv)
    chain = random_chain(4, 16, 3, wrong_answer=2)
    assert chain.wrong_answer_ids is not None
    for kept in (list(range(16)), [1, 4, 5, 9, 15], [7]):
        candidates = [[position] for position in kept[:: max(1, len(kept) // 4)]] + [kept[-2:], list(kept)]
        joint = subject.score_deletions(chain, kept, candidates, Joint())
        contrast = subject.score_deletions(chain, kept, candidates, Contrast())
        for index, candidate in enumerate(candidates):
            reasoning, answer = reference_deletion(model, chain, kept, candidate, chain.answer_ids)
            wrong = reference_deletion(model, chain, kept, candidate, chain.wrong_answer_ids)[1]
            assert joint.reasoning[index] == pytest.approx(reasoning, abs=TOLERANCE)
            assert joint.answer[index] == pytest.approx(answer, abs=TOLERANCE)
            assert joint.objective[index] == pytest.approx(reasoning + answer, abs=TOLERANCE)
            assert contrast.objective[index] == pytest.approx(answer - wrong, abs=TOLERANCE)


@every_backend
@every_model
def test_attention_is_the_models(architecture: str, backend: str) -> None:
    """Attention weights are those of eager attention, sliding windows and grouped queries included."""
    chain = random_chain(4, 16, 3)
    found = scorer(architecture, backend).attention(chain)
    np.testing.assert_allclose(found, reference_attention(plain(architecture), chain), atol=1e-5)
    assert found.dtype == np.float32


def values_and_projection(model: Any, architecture: str, layer: int, ids: tuple[int, ...]) -> tuple[Any, Any]:
    """Return a layer's value vectors, [key, head, dimension], and its projection's weight, [head, dimension, out]."""
    if architecture == "gpt2":
        attention = model.transformer.h[layer].attn
        source, weight = attention.c_attn, attention.c_proj.weight
    elif architecture == "gpt_neox":
        attention = model.gpt_neox.layers[layer].attention
        source, weight = attention.query_key_value, attention.dense.weight.T
    else:
        attention = model.model.layers[layer].self_attn
        source = attention.qkv_proj if architecture == "phi3" else attention.v_proj
        weight = attention.o_proj.weight.T
    outputs: list[torch.Tensor] = []
    handle = source.register_forward_hook(lambda module, arguments, output: outputs.append(output[0]))
    with torch.no_grad():
        model(torch.tensor([ids]))
    handle.remove()
    heads = model.config.num_attention_heads
    dimension = weight.shape[0] // heads
    if architecture == "gpt2":  # queries, keys and values of all heads stand side by side
        values = outputs[0].view(-1, 3, heads, dimension)[:, 2]
    elif architecture == "gpt_neox":  # and here those of each head
        values = outputs[0].view(-1, heads, 3, dimension)[:, :, 2]
    else:  # two query heads share a value head; phi3 puts the values behind queries and keys
        values = outputs[0].view(-1, outputs[0].shape[-1] // dimension, dimension)[:, -heads // 2 :]
        values = values.repeat_interleave(2, dim=1)
    return values, weight.detach().view(heads, dimension, -1)


@every_backend
@every_model
def test_value_norms_are_those_of_the_explicit_computation(architecture: str, backend: str) -> None:
    """In every layer the value-weighted attention is the weight times the norm of the head's projected value."""
    chain, model = random_chain(3, 8, 2), plain(architecture)
    patterns = reference_attention(model, chain)
    found = scorer(architecture, backend).attention(chain, weights="value_norm", layers=range(len(patterns)))
    assert len(found) == len(patterns) == model.config.num_hidden_layers
    for layer, pattern in enumerate(patterns):
        values, weight = values_and_projection(model, architecture, layer, chain.input_ids)
        norms = torch.einsum("khd,hde->hke", values, weight).norm(dim=-1)
        np.testing.assert_allclose(found[layer], pattern * norms.numpy()[:, None, :], atol=1e-4, rtol=1e-4)


@every_backend
@every_model
def test_gradients_and_values_from_embeddings_are_the_models(architecture: str, backend: str) -> None:
    """Embedding gradients and objective values equal those through plain ``inputs_embeds``."""
    chain, subject = random_chain(4, 12, 3), scorer(architecture, backend)
    value, expected = reference_gradients(plain(architecture), chain)
    embeddings, gradients = subject.embedding_gradients(chain, Joint())
    np.testing.assert_allclose(gradients, expected, atol=1e-4, rtol=1e-4)
    with torch.no_grad():
        own = plain(architecture).get_input_embeddings()(torch.tensor(chain.reasoning_ids))
    np.testing.assert_allclose(embeddings, own.numpy(), atol=1e-6)
    assert subject.objective_value(chain, Joint()) == pytest.approx(value, abs=TOLERANCE)
    shifted = subject.objective_value(chain, Joint(), embeddings + 1e-3 * gradients)
    assert shifted > value  # a step along the gradient


@every_backend
@every_model
def test_generation_is_the_models_own(architecture: str, backend: str) -> None:
    """Greedy continuations of unequal prompts in one batch are those that ``generate`` writes for each alone."""
    subject, model = scorer(architecture, backend), plain(architecture)
    prompts = [random_chain(length, 1, 1, seed=length).prompt_ids for length in (3, 9)]
    expected = []
    for prompt in prompts:
        ids = torch.tensor([prompt])
        settings: dict[str, Any] = {"max_new_tokens": 8, "do_sample": False, "attention_mask": torch.ones_like(ids)}
        text = subject.tokenizer.decode(model.generate(ids, **settings)[0, len(prompt) :], skip_special_tokens=True)
        expected.append([text, text])
    assert subject.generate(prompts, max_new_tokens=8, n=2) == expected


@every_model
def test_backends_do_not_disturb_each_other_or_the_model_they_were_given(architecture: str) -> None:
    """With both backends in one process and used in turns, each and the model given still give the first numbers."""
    chain = random_chain(4, 12, 3, seed=5)
    expected = reference_logprobs(plain(architecture), chain.prompt_ids, chain.reasoning_ids + chain.answer_ids)
    for _ in range(2):
        for backend in BACKENDS:
            found = scorer(architecture, backend).logprobs([chain])[0]
            np.testing.assert_allclose(np.concatenate([found.reasoning, found.answer]), expected, atol=TOLERANCE)
    again = reference_logprobs(plain(architecture), chain.prompt_ids, chain.reasoning_ids + chain.answer_ids)
    np.testing.assert_array_equal(again, expected)
    assert all(parameter.requires_grad for parameter in plain(architecture).parameters())


def test_fingerprints_are_equal_on_both_backends() -> None:
    """A model has one fingerprint, whatever reads it."""
    assert scorer("gpt2", "transformer_lens").fingerprint() == scorer("gpt2", "nnsight").fingerprint()


@every_backend
def test_an_exception_leaves_no_hook_behind(backend: str) -> None:
    """After a failure in the midst of a forward pass, the numbers and the module's hooks are as before."""
    subject, chain = scorer("llama", backend), random_chain(4, 12, 3)
    modules = list(subject.model.modules())

    def hooks() -> int:
        return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in modules)

    before, count = subject.attention(chain), hooks()

    def fail(pattern: torch.Tensor) -> torch.Tensor:
        raise ArithmeticError("on purpose")

    with pytest.raises(ArithmeticError, match="on purpose"):
        subject.attention(chain, reduce=fail)
    with pytest.raises(ArithmeticError, match="on purpose"):
        subject.decoder.backend.forward_embeddings(torch.tensor([chain.input_ids]), fail)
    assert hooks() == count
    np.testing.assert_array_equal(subject.attention(chain), before)


def test_nnsight_shows_eager_attention_of_a_model_with_fused_attention() -> None:
    """A model that runs torch's fused attention gives the same numbers, and runs it again after attention was shown."""
    model = random_model("llama")
    model.set_attn_implementation("sdpa")
    subject = load_scorer(model, "nnsight", device="cpu", tokenizer=byte_tokenizer())
    assert isinstance(subject, CausalLMScorer)
    chain = random_chain(4, 16, 3)
    np.testing.assert_allclose(subject.attention(chain), reference_attention(plain("llama"), chain), atol=1e-5)
    assert subject.model.config._attn_implementation == "sdpa"
    kept = list(range(16))
    fused = subject.deletion_scores(chain, kept, [[0], [7], [15]], Joint())
    eager = scorer("llama", "nnsight").deletion_scores(chain, kept, [[0], [7], [15]], Joint())
    np.testing.assert_allclose(fused, eager, atol=TOLERANCE)


@every_backend
@pytest.mark.parametrize(
    ("architecture", "sizes", "attention"),
    [("mamba", {"hidden_size": 32, "num_hidden_layers": 2}, []), ("lfm2", LFM2, [1])],
)
def test_recurrent_models_score_deletions_from_scratch(
    backend: str, architecture: str, sizes: dict[str, Any], attention: list[int]
) -> None:
    """A model whose state cannot be cut back scores deletions right, and says what it cannot do."""
    model = random_model(architecture, **sizes)
    subject = load_scorer(model, backend, device="cpu", tokenizer=byte_tokenizer())
    assert isinstance(subject, CausalLMScorer)
    assert not subject.reuse_kv
    chain = random_chain(3, 8, 2)
    found = subject.deletion_scores(chain, range(8), [[0], [3], [7]], Joint())
    expected = [sum(reference_deletion(model, chain, range(8), [index], chain.answer_ids)) for index in (0, 3, 7)]
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)
    with pytest.raises(UnsupportedError, match="no attention weights in layers"):
        subject.attention(chain)
    assert (Capability.ATTENTION in subject.capabilities) == bool(attention)
    if attention:
        np.testing.assert_allclose(subject.attention(chain, layers=attention).sum(axis=-1), 1, atol=1e-5)
        with pytest.raises(UnsupportedError, match="pattern"):
            subject.attention(chain, layers=attention, weights="value_norm")
    with pytest.raises(UnsupportedError, match="reuse_kv=False"):
        load_scorer(model, backend, device="cpu", tokenizer=byte_tokenizer(), reuse_kv=True)


def test_an_architecture_that_the_bridge_does_not_know_names_the_other_backend() -> None:
    """Where TransformerLens cannot wrap a model, the error says so and nnsight still works."""
    model = random_model("llama")
    model.__class__ = type("UnheardOfForCausalLM", (type(model),), {})
    with pytest.raises(UnsupportedError, match=r"UnheardOfForCausalLM.*backend='nnsight'"):
        load_scorer(model, "transformer_lens", device="cpu", tokenizer=byte_tokenizer())
    subject = load_scorer(model, "nnsight", device="cpu", tokenizer=byte_tokenizer())
    assert subject.logprobs([random_chain(3, 4, 1)])[0].reasoning.shape == (4,)


@pytest.mark.parametrize(("scale", "message"), [(1.1, "gives other logits"), (None, "cannot run")])
def test_a_model_that_the_bridge_computes_otherwise_is_refused(
    scale: float | None, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrapped model whose logits differ from transformers', or that fails, is an error before any number is given."""
    forward = TransformerLensBackend.forward

    def wrong(self: TransformerLensBackend, input_ids: torch.Tensor, **inputs: Any) -> torch.Tensor:
        if scale is None:
            raise RuntimeError("expected m1 and m2 to have the same dtype")
        return forward(self, input_ids, **inputs) * scale

    monkeypatch.setattr(TransformerLensBackend, "forward", wrong)
    with pytest.raises(UnsupportedError, match=f"{message}.*backend='nnsight' or dtype='float32'"):
        load_scorer(random_model("llama"), "transformer_lens", device="cpu", tokenizer=byte_tokenizer())


@every_backend
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_close_and_finite(backend: str, dtype: str) -> None:
    """In half precision every number is finite and log-probabilities lie near those in float32."""
    chain = random_chain(4, 10, 3, wrong_answer=2)
    subject = load_scorer(plain("qwen3"), backend, device="cpu", dtype=dtype, tokenizer=byte_tokenizer())
    expected = reference_logprobs(plain("qwen3"), chain.prompt_ids, chain.reasoning_ids)
    np.testing.assert_allclose(subject.logprobs([chain])[0].reasoning, expected, atol=0.5)
    scores = subject.score_deletions(chain, range(10), [[index] for index in range(10)], Contrast())
    gradients = subject.embedding_gradients(chain, Joint())
    for numbers in (scores.objective, scores.answer, *gradients, subject.attention(chain, weights="value_norm")):
        assert np.isfinite(numbers).all()
    assert scores.objective.dtype == np.float64
