"""What backends find inside a model: its devices, its attention layers, and what a position can see."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tokimp_attention import Attention

from tests.models.small_architectures import small_model
from tokimp.contracts.objective import Joint
from tokimp.errors import UnsupportedError
from tokimp.models.attention_rows import fault_in_rows
from tokimp.models.causal_lm import CausalLMScorer
from tokimp.models.loading import load_scorer
from tokimp.testing.random_models import byte_tokenizer, random_model
from tokimp.testing.reference import random_chain, reference_attention

TEXT = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4}
every_backend = pytest.mark.parametrize("backend", ["transformer_lens", "nnsight"])


def load(model: Any, backend: str) -> CausalLMScorer:
    """Return a scorer of a model object."""
    loaded = load_scorer(model, backend, device="cpu", tokenizer=byte_tokenizer())
    assert isinstance(loaded, CausalLMScorer)
    return loaded


@every_backend
def test_a_model_stays_on_the_cpu_beside_a_gpu(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With device="cpu", nothing is moved to a GPU that the machine seems to have."""
    monkeypatch.setattr("transformers.pipelines.base.is_torch_cuda_available", lambda: True)
    subject, chain = load(random_model("llama"), backend), random_chain(3, 5, 2)
    assert {parameter.device.type for parameter in subject.model.parameters()} == {"cpu"}
    assert np.isfinite(subject.attention(chain)).all()
    assert np.isfinite(subject.logprobs([chain])[0].reasoning).all()


@every_backend
def test_a_tower_that_reads_images_is_not_taken_for_the_decoder(backend: str) -> None:
    """Beside a vision tower of equal depth, attention is that of the layers that read text."""
    text: dict[str, Any] = {**TEXT, "vocab_size": 300, "num_key_value_heads": 2, "head_dim": 8, "sliding_window": 8}
    text |= {"initializer_range": 0.3, "max_position_embeddings": 128}
    vision = {**TEXT, "image_size": 28, "patch_size": 14}
    model, chain = (
        random_model("gemma3", text_config=text, vision_config=vision, mm_tokens_per_image=4),
        random_chain(4, 16, 3),
    )
    np.testing.assert_allclose(load(model, backend).attention(chain), reference_attention(model, chain), atol=1e-5)


@every_backend
@pytest.mark.parametrize("architecture", ["gemma3_text", "gpt_neo", "gpt_oss"])
def test_hidden_pairs_are_those_of_the_mask_and_not_weights_that_became_zero(architecture: str, backend: str) -> None:
    """Sharp attention becomes 0 for pairs that a position can see; only windows and later positions are hidden."""
    model, chain = small_model(architecture, initializer_range=3.0), random_chain(4, 20, 3)
    found = load(model, backend).attention(chain, hidden=float("nan"))
    total = np.arange(len(chain))
    causal = total[:, None] >= total
    window = causal & (total[:, None] - total < 8)
    full = {"gemma3_text": {2}, "gpt_neo": {0, 2}, "gpt_oss": {1}}[architecture]
    for layer, weights in enumerate(found):
        np.testing.assert_array_equal(
            ~np.isnan(weights), np.broadcast_to(causal if layer in full else window, weights.shape)
        )
    # Norms of queries and keys keep Gemma's weights above 0.
    assert (found == 0).any() == (architecture != "gemma3_text")


@every_backend
def test_later_counts_every_position_that_can_see(backend: str) -> None:
    """The mean over later positions is over all of them in a full layer, whatever became 0."""
    model, chain = random_model("llama"), random_chain(4, 20, 3)
    for layer in model.model.layers:
        layer.self_attn.q_proj.weight.data *= 300
    weights = reference_attention(model, chain)
    assert (weights[:, :, 23, :23] == 0).all(axis=1).any()
    expected = [weights[:, :, key + 1 :, key].mean(axis=-1).mean() for key in range(4, 24)]
    found = Attention("later").estimate(chain, load(model, backend), Joint())
    np.testing.assert_allclose(found.scores, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda rows: rows * 276, "add up to 276, not 1"),
        (lambda rows: rows / 2, r"add up to 0.5, not 1"),
        (lambda rows: rows[:, -1:], r"their shape is \(2, 1, 4\)"),
        (lambda rows: rows.flip(1), "later positions get weight"),
        (lambda rows: -rows, "some are negative"),
        (lambda rows: rows * torch.nan, "not finite"),
        (lambda rows: None, "NoneType"),
    ],
)
def test_what_is_no_distribution_is_told(change: Any, fault: str) -> None:
    """Weights of another shape, sum or sign are no attention; a learned sink may take a part of a sum."""
    rows = torch.ones(2, 4, 4).tril() / torch.arange(1, 5)[:, None]
    assert not fault_in_rows(rows, 4, sink=False)
    assert not fault_in_rows(rows / 2, 4, sink=True)
    with pytest.raises(AssertionError, match=fault):
        assert not fault_in_rows(change(rows), 4, sink=False)


@every_backend
def test_weights_that_are_none_are_refused_before_they_are_given(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer whose rows stop adding up to 1 after loading raises, and names what can be used instead."""
    subject = load(random_model("llama"), backend)
    kind = type(subject.decoder.backend)
    show = kind.forward_attention

    def doubled(self: Any, ids: Any, layers: Any, visit: Any, **inputs: Any) -> None:
        show(self, ids, layers, lambda layer, weights: visit(layer, 2 * weights), **inputs)

    monkeypatch.setattr(kind, "forward_attention", doubled)
    with pytest.raises(
        UnsupportedError, match=r"add up to 2, not 1.*use backend='.*an estimator that needs no attention"
    ):
        subject.attention(random_chain(3, 5, 2))
