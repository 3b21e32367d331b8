"""ContextCite and Shapley values on both backends, against all subsets read one by one in transformers alone."""

from __future__ import annotations

from itertools import combinations, permutations
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import Lasso
from tokimp_context_cite import ContextCite, log_odds
from tokimp_nnsight import NNsightScorer
from tokimp_shapley import Shapley
from tokimp_transformer_lens import TransformerLensScorer

from tokimp.chains.chain import Chain, TokenizedChain
from tokimp.contracts.objective import Answer
from tokimp.contracts.scorer import Scorer
from tokimp.contracts.tokenization import tokenize_chain
from tokimp.testing import check_estimator
from tokimp.testing.random_models import byte_tokenizer, random_model

BACKENDS = [TransformerLensScorer, NNsightScorer]
MASKED_BY = ord(".")


@pytest.fixture(scope="module", params=BACKENDS, ids=lambda backend: backend.backend)
def scorer(request: Any) -> Scorer:
    """Return a scorer of a small llama, on each backend."""
    made: Scorer = request.param(random_model("llama"), tokenizer=byte_tokenizer(), device="cpu", dtype="float32")
    return made


def chain() -> TokenizedChain:
    """Return a chain of three words."""
    return tokenize_chain(
        Chain("sum", question="2+2?", reasoning="2+2 is 4.", answer="4"), byte_tokenizer(), "plain", "word"
    )


def every_subset(tokens: TokenizedChain) -> list[tuple[int, ...]]:
    """Return all subsets of the units."""
    units = range(len(tokens.units))
    return [kept for size in range(len(units) + 1) for kept in combinations(units, size)]


def answer_logprob(tokens: TokenizedChain, kept: tuple[int, ...], operator: str) -> float:
    """Return log P(answer) with some units alone, from one pass of the plain model, in float64."""
    left = {position for unit in kept for position in tokens.units[unit]}
    if operator == "delete":
        reasoning = [tokens.reasoning_ids[position] for position in sorted(left)]
    else:
        reasoning = [own if at in left else MASKED_BY for at, own in enumerate(tokens.reasoning_ids)]
    ids = [*tokens.prompt_ids, *reasoning, *tokens.answer_ids]
    with torch.no_grad():
        logprobs = random_model("llama")(torch.tensor([ids])).logits[0].double().log_softmax(dim=-1)
    first = len(ids) - len(tokens.answer_ids)
    return sum(float(logprobs[place - 1, ids[place]]) for place in range(first, len(ids)))


@pytest.mark.parametrize("operator", ["delete", "mask"])
def test_shapley_values_are_means_over_all_orders(scorer: Scorer, operator: str) -> None:
    """Each unit has the mean, over the six orders, of what it adds to log P(answer) when it joins those before it."""
    tokens = chain()
    values = {frozenset(kept): answer_logprob(tokens, kept, operator) for kept in every_subset(tokens)}
    expected = np.zeros(3)
    for order in permutations(range(3)):
        for place, unit in enumerate(order):
            expected[unit] += (values[frozenset(order[: place + 1])] - values[frozenset(order[:place])]) / 6
    for method in ("permutation", "kernel"):
        found = Shapley(method=method, operator=operator, replacement=MASKED_BY)
        np.testing.assert_allclose(found.estimate(tokens, scorer, Answer()).scores, expected, atol=1e-4)


@pytest.mark.parametrize("operator", ["delete", "mask"])
def test_context_cite_is_a_lasso_on_all_subsets(scorer: Scorer, operator: str) -> None:
    """Of three units all eight subsets are scored; the weights are those of scikit-learn's Lasso on the log-odds."""
    tokens = chain()
    subsets = every_subset(tokens)
    kept = np.array([[unit in subset for unit in range(3)] for subset in subsets], dtype=float)
    count = len(tokens.answer_ids)
    odds = log_odds(np.array([answer_logprob(tokens, subset, operator) for subset in subsets])) / count
    deviation = kept.std(axis=0)
    weights = Lasso(alpha=0.01, tol=1e-10).fit((kept - kept.mean(axis=0)) / deviation, odds).coef_ / deviation * count
    found = ContextCite(operator=operator, replacement=MASKED_BY).estimate(tokens, scorer, Answer())
    np.testing.assert_allclose(found.scores, weights, atol=1e-3)
    assert np.abs(weights).max() > 0.01


@pytest.mark.parametrize("estimator", [ContextCite(operator="knockout"), Shapley(operator="knockout")], ids=str)
def test_both_backends_give_the_same_under_knockout(estimator: Any) -> None:
    """Hidden units count alike on both backends, to 1e-3 nats."""
    model, tokens = random_model("llama"), chain()
    first, second = (
        estimator.estimate(
            tokens, backend(model, tokenizer=byte_tokenizer(), device="cpu", dtype="float32"), Answer()
        ).scores
        for backend in BACKENDS
    )
    np.testing.assert_allclose(first, second, atol=1e-3)
    assert np.abs(first).max() > 1e-3


@pytest.mark.parametrize("estimator", [ContextCite(ablations=8), Shapley(permutations=2)], ids=str)
def test_they_keep_the_contract_on_models(scorer: Scorer, estimator: Any) -> None:
    """The check of estimators passes on both backends, for every unit."""
    text = Chain("sum", question="2+2?", reasoning="2+2 is 4. So 4.", answer="4")
    chains = [tokenize_chain(text, byte_tokenizer(), "plain", unit) for unit in ("token", "word", "sentence")]
    check_estimator(estimator, scorer, chains)
