"""Log-probabilities, entropies and ranks of whole chains, against the plainest code on the same weights."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from tokimp.models.loading import load_scorer
from tokimp.models.token_logprobs import TokenQueries, gather_logprobs, gather_predictions
from tokimp.testing.random_models import byte_tokenizer, random_model
from tokimp.testing.reference import random_chain


def gathered(probabilities: list[float], token: int) -> list[float]:
    """Return log-probability, entropy and rank of a token of one distribution."""
    logits = torch.tensor(probabilities).log()[None, None]
    return gather_predictions(logits, TokenQueries([0], [0], [token]))[0].tolist()


@pytest.mark.parametrize(
    ("probabilities", "token", "expected"),
    [
        ([0.25] * 4, 2, (math.log(0.25), math.log(4), 0)),
        ([0.5, 0.5, 0.0, 0.0], 1, (math.log(0.5), math.log(2), 0)),
        ([0.5, 0.25, 0.25], 0, (math.log(0.5), 1.0397, 0)),
        ([0.5, 0.3, 0.2], 2, (math.log(0.2), 1.0297, 2)),
        ([1.0, 0.0], 0, (0.0, 0.0, 0)),
    ],
)
def test_entropy_and_rank_of_a_distribution(
    probabilities: list[float], token: int, expected: tuple[float, float, int]
) -> None:
    """Entropy is -sum(p log p), also where some tokens are impossible; the rank counts the likelier tokens."""
    np.testing.assert_allclose(gathered(probabilities, token), expected, atol=1e-4)


def test_log_probabilities_are_those_gathered_alone() -> None:
    """The first column is what `gather_logprobs` gives, to the bit."""
    logits = torch.randn(2, 5, 50, generator=torch.Generator().manual_seed(0)) * 4
    queries = TokenQueries([0, 1, 1], [0, 4, 2], [3, 7, 49])
    assert gather_predictions(logits, queries)[:, 0].tolist() == gather_logprobs(logits, queries).tolist()


def expected_numbers(model: Any, ids: tuple[int, ...], first: int) -> tuple[Any, Any]:
    """Return entropy and rank of each token from `first` on, from one plain pass in float64."""
    with torch.no_grad():
        logprobs = model(torch.tensor([ids])).logits[0].double().log_softmax(dim=-1)
    entropy = [-float((row.exp() * row).sum()) for row in logprobs[first - 1 : -1]]
    rank = [int((logprobs[at - 1] > logprobs[at - 1, ids[at]]).sum()) for at in range(first, len(ids))]
    return np.array(entropy), np.array(rank)


@pytest.mark.parametrize("backend", ["transformer_lens", "nnsight"])
@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gemma2"])
def test_entropies_are_the_models(architecture: str, backend: str) -> None:
    """Unequal chains in one batch, read in small pieces, get what the rows that predict their tokens hold."""
    model = random_model(architecture)
    scorer = load_scorer(model, backend, device="cpu", tokenizer=byte_tokenizer(), logits_budget=2000)
    chains = [random_chain(5, 20, 4), random_chain(9, 6, 2, seed=1)]
    for chain, found in zip(chains, scorer.entropies(chains), strict=True):
        entropy, rank = expected_numbers(model, chain.input_ids, len(chain.prompt_ids))
        np.testing.assert_allclose(np.concatenate([found.reasoning, found.answer]), entropy, atol=1e-4)
        np.testing.assert_array_equal(np.concatenate([found.reasoning_ranks, found.answer_ranks]), rank)
        assert found.reasoning.dtype == np.float32
        assert found.reasoning.shape == (len(chain.reasoning_ids),)


def test_they_cost_what_log_probabilities_cost() -> None:
    """One pass gives both: as many positions are counted as for `logprobs`, and its numbers are the same."""
    scorer = load_scorer(random_model("llama"), "nnsight", device="cpu", tokenizer=byte_tokenizer())
    chain = random_chain(5, 20, 4)
    (alone,), counted = scorer.logprobs([chain]), scorer.tokens_forwarded
    (found,) = scorer.entropies([chain])
    assert scorer.tokens_forwarded == 2 * counted
    np.testing.assert_array_equal(found.logprobs.reasoning, alone.reasoning)
    np.testing.assert_array_equal(found.logprobs.answer, alone.answer)
