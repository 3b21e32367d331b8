"""Entropy: sums and means over units, the sampled term, and forking tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from tokimp_likelihood import Entropy

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import Answer, Joint
from tokimp.contracts.scorer import SpanEntropies, SpanLogprobs
from tokimp.errors import EstimatorError
from tokimp.models.loading import load_scorer
from tokimp.testing import AdditiveScorer, check_estimator, toy_chain
from tokimp.testing.random_models import byte_tokenizer, random_model
from tokimp.testing.reference import random_chain

ENTROPIES = {"a": 1.0, "b": 2.0, "c": 0.5, " ": 0.25}


class Spelled(AdditiveScorer):
    """Each letter has an entropy of its own and a probability of one half."""

    def entropies(self, chains: Sequence[TokenizedChain]) -> list[SpanEntropies]:
        """Return those entropies."""
        spans = []
        for chain in chains:
            entropy = np.array([ENTROPIES[chr(token)] for token in chain.reasoning_ids], np.float32)
            half = np.full(len(entropy), np.log(0.5), np.float32)
            ranks = np.zeros(len(entropy), np.int64)
            spans.append(SpanEntropies(SpanLogprobs(half, half[:1]), entropy, entropy[:1], ranks, ranks[:1]))
        return spans


def scores(text: str, unit: str = "token", **parameters: Any) -> list[float]:
    """Return the entropies of a text's units."""
    found: list[float] = Entropy(**parameters).estimate(toy_chain(text, unit=unit), Spelled(), Joint()).scores.tolist()
    return found


@pytest.mark.parametrize(
    ("unit", "aggregate", "expected"),
    [
        ("token", "sum", [1.0, 2.0, 0.25, 0.5]),
        ("word", "sum", [3.0, 0.75]),
        ("word", "mean", [1.5, 0.375]),
        ("word", "max", [2.0, 0.5]),
        ("sentence", "sum", [3.75]),
    ],
)
def test_units_have_what_their_tokens_have(unit: str, aggregate: str, expected: list[float]) -> None:
    """A unit has the sum, the mean or the highest of its tokens' entropies."""
    assert scores("ab c", unit, aggregate=aggregate) == expected


def test_the_sampled_term_is_that_of_the_token_alone() -> None:
    """A token of probability one half has the term 0.3466, whatever the entropy."""
    np.testing.assert_allclose(scores("abc", terms="sampled"), [0.3466] * 3, atol=1e-4)


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.2, [0, 2.0, 0, 0, 0]),  # one of five
        (0.21, [1.0, 2.0, 0, 0, 0]),  # rounded up to two; the first of two equal ones
        (0.6, [1.0, 2.0, 0, 1.0, 0]),
        (1.0, [1.0, 2.0, 0.5, 1.0, 0.5]),
    ],
)
def test_forking_tokens_are_the_highest(share: float, expected: list[float]) -> None:
    """The share is rounded up, ties go from left to right, and other tokens count as 0."""
    assert scores("abcac", forking=share) == expected


def test_diagnostics_say_how_open_the_chain_was() -> None:
    """The mean over tokens, and the lowest entropy of a forking token."""
    found = Entropy(forking=0.6).estimate(toy_chain("abcac"), Spelled(), Joint()).diagnostics
    assert found == {"mean_entropy": 1.0, "forking_entropy": 1.0}


@pytest.mark.parametrize("backend", ["transformer_lens", "nnsight"])
def test_it_is_the_models_in_one_pass(backend: str) -> None:
    """On a random llama it is the plain model's entropy at the rows that predict, and costs one pass."""
    chain, model = random_chain(4, 12, 3), random_model("llama")
    scorer = load_scorer(model, backend, device="cpu", tokenizer=byte_tokenizer())
    found = Entropy().estimate(chain, scorer, Joint()).scores
    with torch.no_grad():
        probabilities = model(torch.tensor([chain.input_ids])).logits[0].double().softmax(dim=-1)
    rows = probabilities[3:15]
    np.testing.assert_allclose(found, -(rows * rows.log()).sum(dim=-1), atol=1e-4)
    assert scorer.tokens_forwarded == len(chain) - 1


def test_the_objective_is_not_used() -> None:
    """Entropy is the same whatever is to be preserved."""
    joint, answer = (Entropy().estimate(toy_chain("abc"), Spelled(), each).scores for each in (Joint(), Answer()))
    np.testing.assert_array_equal(joint, answer)


@pytest.mark.parametrize("parameters", [{"aggregate": "median"}, {"terms": "none"}, {"forking": 0}, {"forking": 1.5}])
def test_parameters_that_are_not_allowed(parameters: dict[str, Any]) -> None:
    """A wrong value is refused by name."""
    (name,) = parameters
    with pytest.raises(EstimatorError, match=f"entropy: {name}=.* is not allowed"):
        Entropy(**parameters).validate_parameters()


@pytest.mark.parametrize("parameters", [{}, {"aggregate": "mean", "terms": "sampled"}, {"forking": 0.2}])
def test_it_keeps_the_contract(parameters: dict[str, Any]) -> None:
    """Entropy passes the check that every estimator must pass."""
    check_estimator(Entropy(**parameters))
