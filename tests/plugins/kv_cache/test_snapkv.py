"""SnapKV: pooled attention of a window of last positions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tokimp_attention import Attention
from tokimp_kv_cache import SnapKV

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import Joint
from tokimp.errors import EstimatorError
from tokimp.models.loading import load_scorer
from tokimp.testing import AdditiveScorer, check_estimator, toy_chain
from tokimp.testing.random_models import byte_tokenizer, random_model
from tokimp.testing.reference import random_chain, reference_attention

SHARES = {"a": 0.5, "b": -0.25, "c": 1.0, "d": -1.5}


def by_loops(weights: Any, chain: TokenizedChain, size: int, kernel: int, *, highest: bool = False) -> Any:
    """Return the mean over layers and heads of pooled window attention, as shares within a head, by loops."""
    start, stop = len(chain.prompt_ids), len(chain.prompt_ids) + len(chain.reasoning_ids)
    rows = range(max(start, stop - size), stop)
    total = np.zeros(stop - start)
    for layer, head in np.ndindex(*weights.shape[:2]):
        mean = [np.mean([weights[layer, head, row, key] for row in rows]) for key in range(len(chain))]
        pooled = []
        for key in range(len(chain)):
            near = [mean[at] for at in range(key - kernel // 2, key + kernel // 2 + 1) if 0 <= at < len(chain)]
            pooled.append(max(near) if highest else sum(near) / kernel)
        scores = np.array(pooled[start:stop])
        total += scores / scores.sum()
    return total / (weights.shape[0] * weights.shape[1])


@pytest.mark.parametrize(
    ("size", "kernel", "pooling"), [(64, 5, "mean"), (2, 3, "mean"), (3, 3, "max"), (1, 1, "mean")]
)
def test_it_is_pooled_window_attention(size: int, kernel: int, pooling: Any) -> None:
    """Scores are those of loops over the definition, whatever window, kernel and pooling."""
    chain, scorer = toy_chain("abcdab", question="??", answer="xyz"), AdditiveScorer(SHARES)
    found = SnapKV("reasoning", size, kernel, pooling).estimate(chain, scorer, Joint())
    expected = by_loops(scorer.attention(chain), chain, size, kernel, highest=pooling == "max")
    np.testing.assert_allclose(found.scores, expected, atol=1e-6)
    assert found.diagnostics["units_in_window"] == min(size, 6)


def test_without_pooling_the_answers_window_is_attention_from_the_answer() -> None:
    """With a window of the answer's predictor rows, no pooling and no scale, it is ``attention:query=answer``."""
    chain, scorer = toy_chain("ab cd", unit="word", answer="xyz"), AdditiveScorer(SHARES)
    found = SnapKV("answer", kernel=1, scale="none").estimate(chain, scorer, Joint())
    np.testing.assert_allclose(found.scores, Attention().estimate(chain, scorer, Joint()).scores, atol=1e-6)
    assert found.diagnostics["units_in_window"] == 1  # the last token predicts the answer's first


@pytest.mark.parametrize("backend", ["transformer_lens", "nnsight"])
def test_it_is_the_models(backend: str) -> None:
    """On a random llama it is made of the plain model's weights, and costs one pass."""
    chain = random_chain(4, 12, 3)
    scorer = load_scorer(random_model("llama"), backend, device="cpu", tokenizer=byte_tokenizer())
    expected = by_loops(reference_attention(random_model("llama"), chain), chain, 8, 5)
    np.testing.assert_allclose(SnapKV(size=8).estimate(chain, scorer, Joint()).scores, expected, atol=1e-5)
    assert scorer.tokens_forwarded == len(chain)


@pytest.mark.parametrize(
    "parameters", [{"window": "all"}, {"size": 0}, {"kernel": 4}, {"pooling": "sum"}, {"scale": "log"}]
)
def test_parameters_that_are_not_allowed(parameters: dict[str, Any]) -> None:
    """A wrong value is refused by name."""
    (name,) = parameters
    with pytest.raises(EstimatorError, match=rf"snapkv: {name}=.* is not allowed"):
        SnapKV(**parameters).validate_parameters()


@pytest.mark.parametrize("parameters", [{}, {"window": "answer", "scale": "rank", "pooling": "max"}])
def test_it_keeps_the_contract(parameters: dict[str, Any]) -> None:
    """It passes the check that every estimator must pass."""
    check_estimator(SnapKV(**parameters))
