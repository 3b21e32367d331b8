"""Slow and obvious versions of what scorers compute: plain transformers, one sequence at a time, nothing shared.

A scorer is right if its numbers agree with these. `random_chain` makes input for both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import Chain, Ids, TokenizedChain


def random_chain(
    prompt: int, reasoning: int, answer: int, *, wrong_answer: int | None = None, vocabulary: int = 250, seed: int = 0
) -> TokenizedChain:
    """Return a chain of random ids (3 to `vocabulary`) with spans of the given lengths; its units are its tokens."""
    generator = np.random.default_rng(seed)

    def ids(length: int) -> Ids:
        return tuple(int(token) for token in generator.integers(3, vocabulary, length))

    return TokenizedChain(
        chain=Chain(id=f"random-{seed}", question="q", reasoning="r" * reasoning, answer="a"),
        prompt_ids=ids(prompt),
        reasoning_ids=ids(reasoning),
        answer_ids=ids(answer),
        reasoning_offsets=tuple((index, index + 1) for index in range(reasoning)),
        units=tuple((index,) for index in range(reasoning)),
        wrong_answer_ids=None if wrong_answer is None else ids(wrong_answer),
    )


def reference_logprobs(model: Any, prompt: Sequence[int], continuation: Sequence[int]) -> FloatArray:
    """Return the log-probability (nats) of each token of `continuation` after `prompt`, from one whole forward pass."""
    ids = torch.tensor([[*prompt, *continuation]])
    with torch.no_grad():
        logprobs = model(ids, use_cache=False).logits[0, len(prompt) - 1 : -1].double().log_softmax(dim=-1)
    return np.array([logprobs[index, token].item() for index, token in enumerate(continuation)])


def reference_deletion(
    model: Any, chain: TokenizedChain, kept: Sequence[int], candidate: Sequence[int], answer: Sequence[int]
) -> tuple[float, float]:
    """Return the log-likelihoods of the reasoning and of an answer after a deletion, from newly built ids."""
    reasoning = [chain.reasoning_ids[position] for position in kept if position not in set(candidate)]
    values = reference_logprobs(model, chain.prompt_ids, [*reasoning, *answer])
    return float(values[: len(reasoning)].sum()), float(values[len(reasoning) :].sum())


def reference_attention(model: Any, chain: TokenizedChain) -> FloatArray:
    """Return the attention weights, [layer, head, query, key], of a model loaded with eager attention."""
    with torch.no_grad():
        layers = model(torch.tensor([chain.input_ids]), output_attentions=True).attentions
    return torch.stack(list(layers))[:, 0].numpy()


def reference_gradients(model: Any, chain: TokenizedChain) -> tuple[float, FloatArray]:
    """Return log P(reasoning, answer | prompt) and its gradient with respect to the reasoning's input embeddings.

    It uses ``inputs_embeds``, so it is right only for models that change embeddings in their embedding module alone.
    """
    ids = torch.tensor([chain.input_ids])
    embedded = model.get_input_embeddings()(ids).detach().requires_grad_()
    logprobs = model(inputs_embeds=embedded, use_cache=False).logits[0].double().log_softmax(dim=-1)
    begin, end = chain.reasoning_span
    value = logprobs[range(begin - 1, len(chain) - 1), ids[0, begin:]].sum()
    (gradient,) = torch.autograd.grad(value, embedded)
    return value.item(), gradient[0, begin:end].numpy()
