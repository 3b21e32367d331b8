"""Surprisal is minus the log-probability of what the model reads next."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from tokimp_surprisal import Surprisal

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import Answer, Joint
from tokimp.contracts.scorer import SpanLogprobs
from tokimp.models.loading import load_scorer
from tokimp.testing import AdditiveScorer, check_estimator, toy_chain
from tokimp.testing.random_models import byte_tokenizer, random_model
from tokimp.testing.reference import random_chain, reference_logprobs


class Spelled(AdditiveScorer):
    """Each letter has a log-probability of its own: a -1, b -2, ..., and a space -0.25."""

    def logprobs(self, chains: Sequence[TokenizedChain]) -> list[SpanLogprobs]:
        """Return those log-probabilities."""
        return [
            SpanLogprobs(np.array([-0.25 if i == 32 else 96 - i for i in chain.reasoning_ids], np.float32), np.zeros(1))
            for chain in chains
        ]


@pytest.mark.parametrize(("unit", "expected"), [("token", [1, 2, 0.25, 3]), ("word", [3, 3.25]), ("sentence", [6.25])])
def test_units_have_the_sum_of_their_tokens(unit: str, expected: list[float]) -> None:
    """A token has -log p; a word and a sentence have their tokens' sum, which is theirs by the chain rule."""
    assert Surprisal().estimate(toy_chain("ab c", unit=unit), Spelled(), Joint()).scores.tolist() == expected


def test_the_objective_is_not_used() -> None:
    """Surprisal is the same whatever is to be preserved."""
    joint, answer = (Surprisal().estimate(toy_chain("abc"), Spelled(), each).scores for each in (Joint(), Answer()))
    np.testing.assert_array_equal(joint, answer)


@pytest.mark.parametrize("backend", ["transformer_lens", "nnsight"])
def test_it_is_the_models_in_one_pass(backend: str) -> None:
    """On a random llama it is the plain model's -log p of each reasoning token, and costs one pass over the chain."""
    chain = random_chain(4, 12, 3)
    scorer = load_scorer(random_model("llama"), backend, device="cpu", tokenizer=byte_tokenizer())
    found = Surprisal().estimate(chain, scorer, Joint()).scores
    expected = -reference_logprobs(random_model("llama"), chain.prompt_ids, chain.reasoning_ids)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert scorer.tokens_forwarded == len(chain) - 1


def test_it_keeps_the_contract() -> None:
    """Surprisal passes the check that every estimator must pass."""
    check_estimator(Surprisal)
