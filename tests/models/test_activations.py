"""Activations and their gradients on both backends, against torch on the plain model."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from tokimp.contracts.objective import Answer, Contrast, Joint
from tokimp.errors import ScorerError
from tokimp.models.causal_lm import CausalLMScorer
from tokimp.models.loading import load_scorer
from tokimp.testing.random_models import byte_tokenizer, random_model
from tokimp.testing.reference import random_chain

CHAIN = random_chain(4, 9, 3, wrong_answer=2)
ARCHITECTURES = ("llama", "gemma2", "gpt_neox", "gpt2")
every_backend = pytest.mark.parametrize("backend", ["transformer_lens", "nnsight"])


@cache
def scorer(architecture: str, backend: str) -> CausalLMScorer:
    """Return a backend's scorer of a small random model."""
    loaded = load_scorer(random_model(architecture), backend, device="cpu", tokenizer=byte_tokenizer())
    assert isinstance(loaded, CausalLMScorer)
    return loaded


def by_autograd(architecture: str, answer: tuple[int, ...]) -> tuple[Any, Any, Any]:
    """Return log-probabilities of reasoning and answer, hidden states and attention weights, in one graph."""
    model, ids = random_model(architecture), (*CHAIN.prompt_ids, *CHAIN.reasoning_ids, *answer)
    output = model(torch.tensor([ids]), output_hidden_states=True, output_attentions=True, use_cache=False)
    logprobs = output.logits[0].log_softmax(dim=-1)
    targets = ids[len(CHAIN.prompt_ids) :]
    rows = range(len(CHAIN.prompt_ids) - 1, len(ids) - 1)
    return logprobs[rows, targets], output.hidden_states, output.attentions


@every_backend
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_activations_and_gradients_are_the_models(architecture: str, backend: str) -> None:
    """Residual stream, outputs and attention weights, and the objective's gradients there, are those of autograd."""
    subject = scorer(architecture, backend)
    logprobs, hidden, attention = by_autograd(architecture, CHAIN.answer_ids)
    for objective, value in ((Joint(), logprobs.sum()), (Answer(), logprobs[9:].sum())):
        for place, tensors in (("residual", hidden[:3]), ("output", hidden[1:3]), ("attention", attention)):
            gradients = torch.autograd.grad(value, tensors, retain_graph=True)
            found = subject.activation_gradients(
                CHAIN,
                place,  # type: ignore[arg-type] # one of the places
                objective,
                lambda activation, gradient: torch.stack([activation, gradient]),
                layers=range(len(tensors)),
            )
            for layer, (tensor, gradient) in enumerate(zip(tensors, gradients, strict=True)):
                np.testing.assert_allclose(found[layer, 0], tensor[0].detach(), atol=1e-4)
                np.testing.assert_allclose(found[layer, 1], gradient[0], atol=1e-4, rtol=1e-3)


@every_backend
@pytest.mark.parametrize("place", ["residual", "attention", "attention_output", "output"])
def test_what_is_reduced_is_activation_and_gradient(place: Any, backend: str) -> None:
    """Multiplied while they are read, activation and gradient give the product of both read apart."""
    subject = scorer("llama", backend)
    found = subject.activation_gradients(CHAIN, place, Answer(), torch.mul, layers=[1])
    alone = subject.activations(CHAIN, place, layers=[1])
    gradient = subject.activation_gradients(CHAIN, place, Answer(), lambda activation, gradient: gradient, layers=[1])
    np.testing.assert_allclose(found, alone * gradient, atol=1e-4, rtol=1e-3)
    assert np.abs(gradient).max() > 1e-3


@every_backend
def test_the_wrong_answers_pass_counts_up_to_the_answer(backend: str) -> None:
    """With the objective contrast, gradients of both passes are added where both read the same."""
    right, hidden, attention = by_autograd("llama", CHAIN.answer_ids)
    wrong, other_hidden, other_attention = by_autograd("llama", CHAIN.wrong_answer_ids or ())
    value = right[9:].sum() - wrong[9:].sum()
    expected, added = torch.autograd.grad(value, [hidden[1], other_hidden[1]], retain_graph=True)
    expected[:, :13] += added[:, :13]
    found = scorer("llama", backend).activation_gradients(
        CHAIN, "residual", Contrast(), lambda activation, gradient: gradient, layers=[1]
    )
    np.testing.assert_allclose(found[0], expected[0], atol=1e-4)
    expected, added = torch.autograd.grad(value, [attention[1], other_attention[1]])
    expected[:, :, :13, :13] += added[:, :, :13, :13]
    found = scorer("llama", backend).activation_gradients(
        CHAIN, "attention", Contrast(), lambda activation, gradient: gradient, layers=[1]
    )
    np.testing.assert_allclose(found[0], expected[0], atol=1e-4)


@every_backend
def test_nothing_is_left_behind_and_positions_are_counted(backend: str) -> None:
    """Each question takes one pass, and leaves hooks and numbers as they were."""
    subject = scorer("gpt2", backend)
    modules = list(subject.decoder.backend.root.modules())

    def hooks() -> int:
        return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in modules)

    before, count, counted = subject.attention(CHAIN), hooks(), subject.tokens_forwarded
    subject.activations(CHAIN, "output")
    subject.activation_gradients(CHAIN, "attention", Answer(), torch.mul)
    assert subject.tokens_forwarded - counted == 2 * len(CHAIN)
    assert hooks() == count
    np.testing.assert_array_equal(subject.attention(CHAIN), before)


def test_a_place_that_there_is_not_is_refused() -> None:
    """Places and layers are named in the error."""
    with pytest.raises(ScorerError, match="a place is one of residual, attention, attention_output, output, not 'mlp'"):
        scorer("llama", "nnsight").activations(CHAIN, "mlp")  # type: ignore[arg-type] # wrong on purpose
    with pytest.raises(ScorerError, match="has layers 0 to 2"):
        scorer("llama", "nnsight").activations(CHAIN, "output", layers=[3])
