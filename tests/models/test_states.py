"""States of layers on both backends and all architectures, against transformers alone."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from tokimp.contracts.layer_states import LayerStates
from tokimp.contracts.scorer import Capability
from tokimp.errors import UnsupportedError
from tokimp.models.causal_lm import CausalLMScorer
from tokimp.models.loading import load_scorer
from tokimp.testing.random_models import ARCHITECTURES, byte_tokenizer, random_model
from tokimp.testing.reference import random_chain

CHAIN = random_chain(4, 14, 3)
every_backend = pytest.mark.parametrize("backend", ["transformer_lens", "nnsight"])


@cache
def scorer(architecture: str, backend: str) -> CausalLMScorer:
    """Return a backend's scorer of a small random model."""
    loaded = load_scorer(random_model(architecture), backend, device="cpu", tokenizer=byte_tokenizer())
    assert isinstance(loaded, CausalLMScorer)
    return loaded


def shown(subject: CausalLMScorer) -> list[LayerStates]:
    """Return the states of all layers."""
    states: list[LayerStates] = []

    def keep(layer: LayerStates) -> torch.Tensor:
        states.append(layer)
        own = layer.after_with_values(torch.stack([layer.values, torch.zeros_like(layer.values)]))
        return torch.cat([layer.after[None], own])

    found = subject.states(CHAIN, keep)
    np.testing.assert_allclose(found[:, 1], found[:, 0], atol=1e-4)
    assert (np.abs(found[:, 2] - found[:, 0]).max(axis=(1, 2)) > 1e-3).all()
    return states


@every_backend
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_parts_add_up_to_the_models_own_residual_stream(architecture: str, backend: str) -> None:
    """The stream between blocks is the model's own, and attention adds the sum of its heads' parts to it.

    With its own values a block puts out what it put out, and with none something else.
    """
    with torch.no_grad():
        hidden = random_model(architecture)(torch.tensor([CHAIN.input_ids]), output_hidden_states=True).hidden_states
    states = shown(scorer(architecture, backend))
    assert [layer.layer for layer in states] == [0, 1, 2]
    for layer in states:
        np.testing.assert_allclose(layer.before, hidden[layer.layer][0], atol=1e-4)
        parts = torch.einsum("hqk,hkd,hdm->qm", layer.pattern, layer.values, layer.output) + layer.bias
        np.testing.assert_allclose(layer.before + layer.scale[:, None] * parts, layer.middle, atol=1e-4)
        assert len(layer.keys) * (len(layer.values) // len(layer.keys)) == len(layer.values)
    norm = {"gpt2": "transformer.ln_f", "gpt_neox": "gpt_neox.final_layer_norm"}.get(architecture, "model.norm")
    last = random_model(architecture).get_submodule(norm)(states[-1].after)
    np.testing.assert_allclose(last.detach(), hidden[-1][0], atol=1e-4)


@every_backend
def test_a_value_set_to_zero_is_what_a_hook_makes_of_it(backend: str) -> None:
    """The output without some tokens' values is that of the plain block whose value projection puts out zeros there."""
    positions, outputs = [6, 7], []
    model: Any = random_model("llama")
    layer = model.model.layers[1]

    def silence(module: Any, arguments: Any, output: torch.Tensor) -> torch.Tensor:
        return output.index_fill(1, torch.tensor(positions), 0.0)

    # Blocks are patched one at a time, each with the clean stream as its input.
    with layer.self_attn.v_proj.register_forward_hook(silence), torch.no_grad():
        layer.register_forward_hook(lambda module, arguments, output: outputs.append(output))
        model(torch.tensor([CHAIN.input_ids]), use_cache=False)
    found = scorer("llama", backend).states(
        CHAIN, lambda states: states.after_with_values(states.values.index_fill(1, torch.tensor(positions), 0.0))
    )
    np.testing.assert_allclose(found[1], outputs[0][0], atol=1e-4)


@every_backend
def test_nothing_is_left_behind(backend: str) -> None:
    """After states were shown, also where showing failed, numbers and hooks are as before."""
    subject = load_scorer(random_model("llama"), backend, device="cpu", tokenizer=byte_tokenizer())
    assert isinstance(subject, CausalLMScorer)
    modules = list(subject.model.modules())

    def hooks() -> int:
        return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in modules)

    before, count = subject.attention(CHAIN), hooks()
    assert shown(subject)

    def fail(states: LayerStates) -> torch.Tensor:
        raise ArithmeticError("on purpose")

    with pytest.raises(ArithmeticError, match="on purpose"):
        subject.states(CHAIN, fail)
    assert hooks() == count
    np.testing.assert_array_equal(subject.attention(CHAIN), before)


def test_positions_are_counted_once() -> None:
    """States take one pass, whatever is made of them."""
    subject = scorer("llama", "nnsight")
    before = subject.tokens_forwarded
    subject.states(CHAIN, lambda states: states.after)
    assert subject.tokens_forwarded - before == len(CHAIN)


def test_a_model_without_attention_has_no_states() -> None:
    """A recurrent model does not claim states, and says what to do instead."""
    model = random_model("mamba", hidden_size=32, num_hidden_layers=2)
    subject = load_scorer(model, "nnsight", device="cpu", tokenizer=byte_tokenizer())
    assert Capability.STATES not in subject.capabilities
    with pytest.raises(UnsupportedError, match="use an estimator that needs no states"):
        subject.states(CHAIN, lambda states: states.after)


def test_half_precision_adds_up() -> None:
    """In bfloat16 the parts add up as far as it goes."""
    subject = load_scorer(random_model("qwen3"), "nnsight", device="cpu", dtype="bfloat16", tokenizer=byte_tokenizer())
    assert Capability.STATES in subject.capabilities
    assert np.isfinite(subject.states(CHAIN, lambda states: states.after)).all()
