"""Every number of a scorer against plain transformers, float32, whole sequences: the same, or refused with a remedy."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from tests.models.small_architectures import BORDER, DECODERS, LENGTH_DEPENDENT, NOT_CAUSAL, small_model
from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import Answer, Contrast, Joint
from tokimp.contracts.scorer import Capability
from tokimp.errors import UnsupportedError
from tokimp.models.causal_lm import CausalLMScorer
from tokimp.models.loading import load_scorer
from tokimp.testing.random_models import byte_tokenizer
from tokimp.testing.reference import random_chain, reference_deletion, reference_logprobs

TOLERANCE = 1e-4
# Total lengths on both sides of the border, and right at it: 37, 49, 13, 40 and 41 tokens.
CHAINS = [
    random_chain(4, 30, 3, wrong_answer=9),
    random_chain(4, 42, 3, wrong_answer=2, seed=1),
    random_chain(2, 8, 3, wrong_answer=2, seed=2),
    random_chain(5, 33, 2, wrong_answer=4, seed=3),
    random_chain(5, 34, 2, wrong_answer=1, seed=4),
]
assert {len(chain) for chain in CHAINS} >= {BORDER, BORDER + 1}
# What a backend does not know it refuses with the name of the other; what a model does not have, with an option.
REMEDIES = r"backend='|weights='pattern'|use leave_one_out|use an estimator|ask for layers|use another"

# Latent or shared values, and caches that hold more than keys and values.
NO_PLAIN_VALUES = {"minicpm3", "deepseek_v3", "gemma4_text", "gemma3n_text", "minimax", "bamba", "jamba", "openai-gpt"}
# TransformerLens keeps the values that these heads move, not the latent that transformers caches.
KEPT_AS_MOVED = {("deepseek_v3", "transformer_lens")}

every_backend = pytest.mark.parametrize("backend", ["transformer_lens", "nnsight"])
# The models whose numbers depend on the length run always, all others where there is time.
every_decoder = pytest.mark.parametrize(
    "architecture",
    [
        pytest.param(name, marks=() if name in LENGTH_DEPENDENT or name == "gemma4_text" else pytest.mark.slow)
        for name in DECODERS
    ],
)


def plain(architecture: str) -> Any:
    """Return the reference, new each time: dynamic rotary factors remember what was read before."""
    return copy.deepcopy(_made(architecture))


@cache
def _made(architecture: str) -> Any:
    return small_model(architecture)


@cache
def scorer(architecture: str, backend: str) -> CausalLMScorer | str:
    """Return a backend's scorer, or the sentence with which it refuses the model."""
    try:
        loaded = load_scorer(plain(architecture), backend, device="cpu", tokenizer=byte_tokenizer())
    except UnsupportedError as error:
        return str(error)
    assert isinstance(loaded, CausalLMScorer)
    return loaded


def ready(architecture: str, backend: str, capability: Capability) -> CausalLMScorer:
    """Return the scorer; where model or capability is refused, check the refusal and end the test."""
    subject = scorer(architecture, backend)
    if isinstance(subject, str):
        assert "backend='nnsight'" in subject
        assert backend == "transformer_lens"
        pytest.skip("TransformerLens does not know the architecture, and says so")
    if capability not in subject.capabilities:
        refused: Callable[[], Any] = {
            Capability.ATTENTION: lambda: subject.attention(CHAINS[0]),
            Capability.KNOCKOUT: lambda: subject.score_knockouts(CHAINS[0], [(1,)], Joint()),
            Capability.GRADIENTS: lambda: subject.embedding_gradients(CHAINS[0], Joint()),
        }[capability]
        with pytest.raises(UnsupportedError, match=REMEDIES):
            refused()
        pytest.skip("refused, with a remedy")
    return subject


def whole(architecture: str, chain: TokenizedChain, answer: Sequence[int] | None = None) -> FloatArray:
    """Return the log-probabilities of reasoning and answer by brute force."""
    following = (*chain.reasoning_ids, *(chain.answer_ids if answer is None else answer))
    return reference_logprobs(plain(architecture), chain.prompt_ids, following)


@every_backend
@every_decoder
def test_logprobs_are_those_of_each_chain_alone(architecture: str, backend: str) -> None:
    """Chains of lengths on both sides of every border, in one batch, have the log-probabilities that each has alone."""
    subject = ready(architecture, backend, Capability.LOGPROBS)
    for chain, found in zip(CHAINS, subject.logprobs(CHAINS), strict=True):
        np.testing.assert_allclose(
            np.concatenate([found.reasoning, found.answer]), whole(architecture, chain), atol=TOLERANCE
        )


@every_backend
@every_decoder
def test_deletions_score_what_the_shortened_chain_scores_alone(architecture: str, backend: str) -> None:
    """Whichever border a deletion crosses, it scores what a pass over the remaining ids does, read to any place."""
    subject = ready(architecture, backend, Capability.DELETIONS)
    for chain in (CHAINS[1], CHAINS[0], CHAINS[4]):
        count = len(chain.reasoning_ids)
        for kept in (list(range(count)), [place for place in range(count) if place % 9 != 2]):
            candidates = [[kept[0]], kept[3:9], [kept[-1]], kept[:12], kept]
            joint = subject.deletion_scores(chain, kept, candidates, Joint())
            contrast = subject.deletion_scores(chain, kept, candidates, Contrast())
            for index, candidate in enumerate(candidates):
                model = plain(architecture)
                reasoning, answer = reference_deletion(model, chain, kept, candidate, chain.answer_ids)
                wrong = reference_deletion(plain(architecture), chain, kept, candidate, chain.wrong_answer_ids or ())[1]
                assert joint[index] == pytest.approx(reasoning + answer, abs=TOLERANCE)
                assert contrast[index] == pytest.approx(answer - wrong, abs=TOLERANCE)
            until, gone = count // 2, kept[2]
            (found,) = subject.deletion_logprobs(chain, kept, [[gone]], until=until)
            ids = [chain.reasoning_ids[position] for position in kept if position != gone]
            expected = reference_logprobs(plain(architecture), chain.prompt_ids, [*ids, *chain.answer_ids])
            np.testing.assert_allclose(np.delete(found, 2)[: until - 1], expected[: until - 1], atol=TOLERANCE)


@every_backend
@every_decoder
def test_attention_is_the_models_own(architecture: str, backend: str) -> None:
    """Every layer that shows attention shows that of the model's own attention module, and no other layer does."""
    subject = ready(architecture, backend, Capability.ATTENTION)
    for chain in (CHAINS[1], CHAINS[0]):
        with torch.no_grad():
            shown = plain(architecture)(
                torch.tensor([chain.input_ids]), output_attentions=True, use_cache=False
            ).attentions
        layers = sorted(subject.decoder.backend.attention_layers)
        found = subject.attention(chain, layers=layers)
        # Hybrid models give weights for their attention layers alone, or nothing for the others.
        own = [part for part in shown if part is not None and part.shape[-1] == len(chain)]
        own = own if len(own) == len(layers) else [own[layer] for layer in layers]
        np.testing.assert_allclose(found, torch.cat(own).numpy(), atol=1e-4)


@every_backend
@every_decoder
def test_value_norms_are_refused_or_those_of_what_is_moved(architecture: str, backend: str) -> None:
    """Where a layer moves plain values, a row of their norms bounds the norm of what the layer adds; else refused."""
    subject, chain = ready(architecture, backend, Capability.ATTENTION), CHAINS[1]
    layers = sorted(subject.decoder.backend.attention_layers)
    outputs: dict[int, torch.Tensor] = {}
    handles = [
        subject.decoder.backend.output_projection(layer).register_forward_hook(
            lambda module, inputs, output, layer=layer: outputs.setdefault(layer, output.detach())
        )
        for layer in layers
    ]
    subject.attention(chain, layers=layers)
    for handle in handles:
        handle.remove()
    if architecture in NO_PLAIN_VALUES and (architecture, backend) not in KEPT_AS_MOVED:
        with pytest.raises(UnsupportedError, match="use weights='pattern'"):
            subject.attention(chain, weights="value_norm", layers=layers)
        return
    found = subject.attention(chain, weights="value_norm", layers=layers)
    for layer, norms in zip(layers, found, strict=True):
        projection = subject.decoder.backend.output_projection(layer)
        bias = getattr(projection, "bias", None)
        added = outputs[layer].reshape(len(chain), -1)
        added = added if bias is None else added - bias
        assert (added.norm(dim=-1).numpy() <= norms.sum(axis=(0, 2)) + 1e-3).all()
        first = added[0].norm().item()  # the first position attends to itself alone, in every head
        assert first <= norms[:, 0, 0].sum() + 1e-3


@every_backend
@every_decoder
def test_gradients_are_the_models_own(architecture: str, backend: str) -> None:
    """Gradients are those at the output of the embedding module, and the value is the chain's."""
    subject = ready(architecture, backend, Capability.GRADIENTS)
    for chain in (CHAINS[1], CHAINS[0]):
        model = plain(architecture)
        caught: list[torch.Tensor] = []

        def catch(module: Any, inputs: Any, output: torch.Tensor, caught: list[torch.Tensor] = caught) -> torch.Tensor:
            caught.append(output.detach().clone().requires_grad_())
            return caught[0] * 1

        model.get_input_embeddings().register_forward_hook(catch)
        ids = torch.tensor([chain.input_ids])
        logprobs = model(ids, use_cache=False).logits[0].double().log_softmax(dim=-1)
        begin = len(chain.prompt_ids)
        value = logprobs[range(begin - 1, len(chain) - 1), ids[0, begin:]].sum()
        (gradient,) = torch.autograd.grad(value, caught[0])
        expected = gradient[0, begin : begin + len(chain.reasoning_ids)].numpy()
        _, found = subject.embedding_gradients(chain, Joint())
        np.testing.assert_allclose(found, expected, atol=1e-4 * max(1, np.abs(expected).max()))
        assert subject.objective_value(chain, Joint()) == pytest.approx(value.item(), abs=10 * TOLERANCE)


@every_backend
@every_decoder
def test_hiding_nothing_or_what_nobody_reads_changes_nothing(architecture: str, backend: str) -> None:
    """A knockout of nothing scores the chain; hiding the last reasoning token leaves the reasoning as it was."""
    subject, chain = ready(architecture, backend, Capability.KNOCKOUT), CHAINS[1]
    expected, last = whole(architecture, chain), len(chain.reasoning_ids) - 1
    nothing, hidden = subject.score_knockouts(chain, [(), (last,)], Joint())
    answers = subject.score_knockouts(chain, [(), (last,)], Answer())
    assert nothing == pytest.approx(expected.sum(), abs=TOLERANCE)
    assert answers[0] == pytest.approx(expected[last + 1 :].sum(), abs=TOLERANCE)
    assert hidden - answers[1] == pytest.approx(expected[: last + 1].sum(), abs=TOLERANCE)


@every_backend
@every_decoder
def test_each_token_written_is_the_likeliest_after_the_whole_text_before_it(architecture: str, backend: str) -> None:
    """Greedy continuations of unequal prompts, some of which cross a border, are those of whole sequences."""
    subject = ready(architecture, backend, Capability.GENERATION)
    prompts = [random_chain(length, 1, 1, seed=length).prompt_ids for length in (3, 30, 38, 45)]
    expected = []
    for prompt in prompts:
        ids = list(prompt)
        for _ in range(14):
            with torch.no_grad():
                token = int(plain(architecture)(torch.tensor([ids]), use_cache=False).logits[0, -1].argmax())
            if token in subject.decoder.end_tokens:
                break
            ids.append(token)
        expected.append([subject.tokenizer.decode(ids[len(prompt) :], skip_special_tokens=True)])
    assert subject.generate(prompts, max_new_tokens=14) == expected


@every_backend
@pytest.mark.parametrize("architecture", NOT_CAUSAL)
def test_models_that_look_ahead_are_refused(architecture: str, backend: str) -> None:
    """A model whose predictions depend on how many tokens follow is refused when it is loaded."""
    with pytest.raises(UnsupportedError, match=r"is not causal.*use another causal language model"):
        load_scorer(small_model(architecture), backend, device="cpu", tokenizer=byte_tokenizer())
