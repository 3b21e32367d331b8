"""Conditional token selection: what the answer, known beforehand, adds to each unit's log-probability."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from tokimp_likelihood import ConditionalTokenSelection

from tokimp.chains.chain import Chain, TokenizedChain
from tokimp.contracts.objective import Joint
from tokimp.contracts.scorer import SpanLogprobs
from tokimp.contracts.tokenization import tokenize_chain
from tokimp.errors import EstimatorError
from tokimp.models.loading import load_scorer
from tokimp.testing import AdditiveScorer, check_estimator, toy_chain
from tokimp.testing.random_models import byte_tokenizer, random_model
from tokimp.testing.reference import reference_logprobs


class Told(AdditiveScorer):
    """Expects a digit that stands in the prompt (-0.2), and no other token (-1.5)."""

    def logprobs(self, chains: Sequence[TokenizedChain]) -> list[SpanLogprobs]:
        """Return those log-probabilities."""
        return [
            SpanLogprobs(
                np.array([-0.2 if token in chain.prompt_ids else -1.5 for token in chain.reasoning_ids], np.float32),
                np.zeros(len(chain.answer_ids), np.float32),
            )
            for chain in chains
        ]


def test_what_the_answer_tells_gains() -> None:
    """A token that is expected once the answer is known (-0.2, before -1.5) gains 1.3; others gain nothing."""
    chain = toy_chain("x7=", answer="7")
    found = ConditionalTokenSelection(template="{answer}").estimate(chain, Told(), Joint()).scores
    np.testing.assert_allclose(found, [0, 1.3, 0], atol=1e-6)


def test_units_have_the_sum_of_their_tokens() -> None:
    """A word gains what its tokens gain together."""
    chain = toy_chain("77 x7", answer="7", unit="word")
    found = ConditionalTokenSelection(template="{answer}").estimate(chain, Told(), Joint()).scores
    np.testing.assert_allclose(found, [2.6, 1.3], atol=1e-6)


def test_the_value_stands_for_the_answer() -> None:
    """Where the answer gives a value, the template gets that alone, so that its marks tell nothing."""
    chain = toy_chain("#8", answer="#### 8")
    found = ConditionalTokenSelection(template="{answer}").estimate(chain, Told(), Joint()).scores
    np.testing.assert_allclose(found, [0, 1.3], atol=1e-6)


@pytest.mark.parametrize("backend", ["transformer_lens", "nnsight"])
def test_it_is_the_models(backend: str) -> None:
    """On a random llama it is the difference of two plain passes, with and without the template's ids before r."""
    text = Chain("sum", question="2+2?", reasoning="2+2 is 4.", answer="#### 4")
    chain = tokenize_chain(text, byte_tokenizer(), "plain", "word")
    model = random_model("llama")
    scorer = load_scorer(model, backend, device="cpu", tokenizer=byte_tokenizer())
    found = ConditionalTokenSelection().estimate(chain, scorer, Joint()).scores
    condition = byte_tokenizer().encode("The answer is 4.\n", add_special_tokens=False)
    gained = reference_logprobs(model, [*chain.prompt_ids, *condition], chain.reasoning_ids)
    gained = gained - reference_logprobs(model, chain.prompt_ids, chain.reasoning_ids)
    np.testing.assert_allclose(found, [gained[list(unit)].sum() for unit in chain.units], atol=1e-4)


@pytest.mark.parametrize("template", ["", "The answer.", None])
def test_a_template_without_the_answer_is_refused(template: str | None) -> None:
    """A template in which the answer does not stand is refused by name."""
    with pytest.raises(EstimatorError, match=r"cts: template=.* is not allowed"):
        ConditionalTokenSelection(template).validate_parameters()  # type: ignore[arg-type] # None, on purpose


def test_it_keeps_the_contract() -> None:
    """It passes the check that every estimator must pass."""
    check_estimator(ConditionalTokenSelection)
