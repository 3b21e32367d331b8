"""First-token surprisal: that of the token a unit begins with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from tokimp_likelihood import FirstToken

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import Joint
from tokimp.contracts.scorer import SpanLogprobs
from tokimp.errors import EstimatorError
from tokimp.models.loading import load_scorer
from tokimp.testing import AdditiveScorer, check_estimator, toy_chain
from tokimp.testing.random_models import byte_tokenizer, random_model
from tokimp.testing.reference import random_chain, reference_logprobs


class Listed(AdditiveScorer):
    """Each letter has a log-probability of its own."""

    logprob = {"a": -0.1, "b": -3.0, "c": -2.0, "d": -0.5, " ": -0.7, "\n": -0.9}

    def logprobs(self, chains: Sequence[TokenizedChain]) -> list[SpanLogprobs]:
        """Return those log-probabilities."""
        return [
            SpanLogprobs(np.array([self.logprob[chr(i)] for i in chain.reasoning_ids], np.float32), np.zeros(1))
            for chain in chains
        ]


def test_the_first_token_decides() -> None:
    """Log-probabilities (-0.1, -3 | -2, -0.5) in units of two tokens give 0.1 and 2.0."""
    chain = replace(toy_chain("abcd"), units=((0, 1), (2, 3)))
    np.testing.assert_allclose(FirstToken().estimate(chain, Listed(), Joint()).scores, [0.1, 2.0], atol=1e-6)


@pytest.mark.parametrize(("beginning", "expected"), [("visible", [0.1, 2.0, 0.9]), ("first", [0.1, 0.7, 0.9])])
def test_white_space_is_passed_over(beginning: str, expected: list[float]) -> None:
    """The first visible token is taken, unless a unit has none or the very first is asked for."""
    chain = replace(toy_chain("ab c\n"), units=((0, 1), (2, 3), (4,)))
    np.testing.assert_allclose(FirstToken(beginning).estimate(chain, Listed(), Joint()).scores, expected, atol=1e-6)  # type: ignore[arg-type] # both choices


@pytest.mark.parametrize("backend", ["transformer_lens", "nnsight"])
def test_it_is_the_models_in_one_pass(backend: str) -> None:
    """On a random llama it is the plain model's -log p of each unit's first token, and costs one pass."""
    chain = replace(random_chain(4, 12, 3), units=((0, 1, 2), (3,), (4, 5, 6, 7, 8, 9, 10, 11)))
    scorer = load_scorer(random_model("llama"), backend, device="cpu", tokenizer=byte_tokenizer())
    found = FirstToken().estimate(chain, scorer, Joint()).scores
    expected = -reference_logprobs(random_model("llama"), chain.prompt_ids, chain.reasoning_ids)[[0, 3, 4]]
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert scorer.tokens_forwarded == len(chain) - 1


def test_parameters_that_are_not_allowed() -> None:
    """A wrong value is refused by name."""
    with pytest.raises(EstimatorError, match="first_token: beginning='last' is not allowed"):
        FirstToken("last").validate_parameters()  # type: ignore[arg-type] # wrong on purpose


@pytest.mark.parametrize("beginning", ["visible", "first"])
def test_it_keeps_the_contract(beginning: str) -> None:
    """It passes the check that every estimator must pass."""
    check_estimator(FirstToken(beginning))  # type: ignore[arg-type] # both choices
