"""Attention received: from which queries, in which layers and heads, weighted how."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokimp_attention import Attention

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import Answer, Joint
from tokimp.contracts.scorer_inside import AttentionWeights
from tokimp.errors import EstimatorError
from tokimp.testing import AdditiveScorer, check_estimator, toy_chain

SHARES = {"a": 0.5, "b": -0.25, "c": 1.0, "d": -1.5}
CHAIN = toy_chain("abcd", question="??", answer="xyz")
START, STOP, TOTAL = 2, 6, 9
Weights = npt.NDArray[np.floating[Any]]


def received(weights: Weights, query: str, chain: TokenizedChain) -> Weights:
    """Mean weight of each reasoning token, [layer, head, token], by loops over what the definition says."""
    start, stop = len(chain.prompt_ids), len(chain.prompt_ids) + len(chain.reasoning_ids)
    n_layers, n_heads, total, _ = weights.shape
    scores = np.zeros((n_layers, n_heads, stop - start))
    for layer in range(n_layers):
        for head in range(n_heads):
            for key in range(start, stop):
                if query == "answer":
                    rows = [answer_position - 1 for answer_position in range(stop, total)]
                elif query == "last":
                    rows = [total - 2]
                else:
                    rows = [
                        q for q in range(key + 1, total) if any(weights[layer, h, q, key] > 0 for h in range(n_heads))
                    ]
                given_weights = [weights[layer, head, row, key] for row in rows]
                scores[layer, head, key - start] = sum(given_weights) / len(given_weights) if given_weights else 0.0
    return scores


class WindowScorer(AdditiveScorer):
    """The second layer sees only the three last tokens."""

    def pattern(self, chain: TokenizedChain) -> torch.Tensor:
        """Return the pattern, of the second layer cut to a window and made to add up to 1 again."""
        pattern = super().pattern(chain).clone()
        pattern[1] = pattern[1].triu(-2)
        return pattern / pattern.sum(dim=-1, keepdim=True)


class FixedScorer(AdditiveScorer):
    """Attention is what the test says it is."""

    def __init__(self, weights: Weights) -> None:
        super().__init__(SHARES)
        self.weights = torch.tensor(weights, dtype=torch.float32)

    def pattern(self, chain: TokenizedChain) -> torch.Tensor:
        """Return the given weights."""
        return self.weights


@pytest.mark.parametrize("query", ["answer", "last", "later"])
@pytest.mark.parametrize("weights", ["pattern", "value_norm"])
@pytest.mark.parametrize("kind", [AdditiveScorer, WindowScorer])
@settings(max_examples=25)  # in each of twelve combinations
@given(text=st.text("abcd ", min_size=1, max_size=7).filter(str.strip), answer=st.text("xy", min_size=1, max_size=3))
def test_it_is_the_mean_over_the_queries(
    kind: type[AdditiveScorer], weights: AttentionWeights, query: Any, text: str, answer: str
) -> None:
    """Scores are the mean over layers and heads of what loops over the definition give, with sliding windows too."""
    chain, scorer = toy_chain(text, answer=answer), kind(SHARES)
    expected = received(scorer.attention(chain, weights=weights), query, chain).mean(axis=(0, 1))
    found = Attention(query=query, weights=weights).estimate(chain, scorer, Joint())
    np.testing.assert_allclose(found.scores, expected, atol=1e-6)


@pytest.mark.parametrize(("query", "rows"), [("answer", (5, 6, 7)), ("last", (7,))])
def test_queries_are_the_positions_that_predict(query: Any, rows: tuple[int, ...]) -> None:
    """Answer tokens at 6, 7 and 8 are predicted from 5, 6 and 7; no other row counts."""
    for row in range(TOTAL):
        weights = np.zeros((1, 1, TOTAL, TOTAL))
        weights[0, 0, row] = 1.0
        scores = Attention(query=query).estimate(CHAIN, FixedScorer(weights), Joint()).scores
        np.testing.assert_allclose(scores, 1 / len(rows) if row in rows else 0.0, atol=1e-6)


def test_the_value_is_predicted_from_the_position_before_it() -> None:
    """Of `#### 7` only the row before the 7 counts; an answer without a value is refused."""
    chain = toy_chain("abc", question="?", answer="#### 7")
    total = len(chain)
    for row in range(total):
        weights = np.zeros((1, 1, total, total))
        weights[0, 0, row] = 1.0
        scores = Attention(query="value").estimate(chain, FixedScorer(weights), Joint()).scores
        np.testing.assert_allclose(scores, 1.0 if row == total - 2 else 0.0)
    with pytest.raises(EstimatorError, match="chain 'toy': attention:query=value needs an answer that gives a value"):
        Attention(query="value").estimate(toy_chain("ab", answer=r"\boxed{7"), AdditiveScorer(), Joint())


def test_later_does_not_favour_the_early() -> None:
    """Tokens to which every later position gives the same weight are equally important, however many positions."""
    weights = np.tril(np.full((1, 1, TOTAL, TOTAL), 0.25), k=-1)
    np.testing.assert_allclose(Attention("later").estimate(CHAIN, FixedScorer(weights), Joint()).scores, 0.25)


def test_later_does_not_punish_what_a_window_hides() -> None:
    """A position outside whose window a token lies is not counted among those that gave it nothing."""
    weights = np.triu(np.tril(np.full((1, 1, TOTAL, TOTAL), 0.25)), k=-2)
    np.testing.assert_allclose(Attention("later").estimate(CHAIN, FixedScorer(weights), Joint()).scores, 0.25)


def test_later_leaves_a_tokens_attention_to_itself_out() -> None:
    """Only positions after a token count as later."""
    weights = np.eye(TOTAL)[None, None]
    assert Attention("later").estimate(CHAIN, FixedScorer(weights), Joint()).scores.tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("aggregate", ["mean", "max"])
@pytest.mark.parametrize("layers", [None, [0], [-1], [1, 0]])
@pytest.mark.parametrize("heads", [None, [1], [-2]])
def test_layers_and_heads_are_chosen_then_aggregated(
    aggregate: Any, layers: list[int] | None, heads: list[int] | None
) -> None:
    """Only the chosen layers and heads are aggregated, by mean or maximum."""
    scorer = AdditiveScorer(SHARES)
    parts = received(scorer.attention(CHAIN), "answer", CHAIN)
    parts = parts[layers or slice(None)][:, heads or slice(None)]
    expected = parts.mean(axis=(0, 1)) if aggregate == "mean" else parts.max(axis=(0, 1))
    found = Attention(layers=layers, heads=heads, aggregate=aggregate).estimate(CHAIN, scorer, Joint())
    np.testing.assert_allclose(found.scores, expected, atol=1e-6)


@pytest.mark.parametrize("unit", ["word", "sentence"])
@pytest.mark.parametrize("aggregate", ["mean", "max"])
def test_a_unit_has_the_attention_of_its_tokens(unit: str, aggregate: Any) -> None:
    """Within a head a unit's attention is the sum over its tokens; the maximum is taken of those sums."""
    chain, scorer = toy_chain("ab c. d cab. a", unit=unit, answer="xyz"), AdditiveScorer(SHARES)
    parts = received(scorer.attention(chain), "answer", chain)
    sums = np.stack([parts[..., list(tokens)].sum(axis=-1) for tokens in chain.units], axis=-1)
    expected = sums.mean(axis=(0, 1)) if aggregate == "mean" else sums.max(axis=(0, 1))
    found = Attention(aggregate=aggregate).estimate(chain, scorer, Joint())
    np.testing.assert_allclose(found.scores, expected, atol=1e-6)


@pytest.mark.parametrize("query", ["answer", "last", "later"])
@pytest.mark.parametrize("kind", [AdditiveScorer, WindowScorer])
def test_rollout_multiplies_layers_with_the_residual_mixed_in(kind: type[AdditiveScorer], query: Any) -> None:
    """Rollout is (A2/2 + I/2)(A1/2 + I/2), with A the mean over heads, read at the queries."""
    scorer = kind(SHARES)
    first, second = scorer.attention(CHAIN).mean(axis=1).astype(np.float64)
    product = (second + np.eye(TOTAL)) / 2 @ (first + np.eye(TOTAL)) / 2
    found = Attention(query=query, weights="rollout").estimate(CHAIN, scorer, Joint())
    np.testing.assert_allclose(found.scores, received(product[None, None], query, CHAIN)[0, 0], atol=1e-6)


def test_rollout_of_chosen_heads_and_layers() -> None:
    """Of one layer and one head rollout is half that head's attention and half the identity."""
    scorer = AdditiveScorer(SHARES)
    mixed = scorer.attention(CHAIN)[1:2, 1:2] / 2 + np.eye(TOTAL) / 2
    found = Attention("last", weights="rollout", layers=[1], heads=[1]).estimate(CHAIN, scorer, Joint())
    np.testing.assert_allclose(found.scores, received(mixed, "last", CHAIN)[0, 0], atol=1e-6)


def test_rollout_makes_rows_add_up_to_one() -> None:
    """Rows that do not add up to 1 (a model with attention sinks) are brought there before they are multiplied."""
    half = np.tril(np.ones((TOTAL, TOTAL))) / np.arange(1, TOTAL + 1)[:, None] / 3
    mixed = half / 2 + np.eye(TOTAL) / 2
    expected = mixed / mixed.sum(axis=1, keepdims=True)
    found = Attention(weights="rollout").estimate(CHAIN, FixedScorer(half[None, None]), Joint())
    np.testing.assert_allclose(found.scores, received(expected[None, None], "answer", CHAIN)[0, 0], atol=1e-6)


@pytest.mark.parametrize("weights", ["pattern", "value_norm", "rollout"])
def test_the_full_attention_never_exists(weights: Any) -> None:
    """Each layer is reduced as it is made: to one number a head and token, for rollout to the mean over heads."""
    shapes = []

    class Watched(AdditiveScorer):
        def attention(
            self,
            chain: TokenizedChain,
            *,
            weights: AttentionWeights = "pattern",
            layers: Sequence[int] | None = None,
            reduce: Callable[[torch.Tensor], torch.Tensor] | None = None,
            hidden: float = 0.0,
        ) -> Weights:
            found = super().attention(chain, weights=weights, layers=layers, reduce=reduce, hidden=hidden)
            shapes.append(found.shape)
            return found

    Attention(weights=weights).estimate(CHAIN, Watched(SHARES), Joint())
    assert shapes == [(2, TOTAL, TOTAL) if weights == "rollout" else (2, 2, STOP - START)]


def test_the_objective_is_not_used() -> None:
    """Attention is the same whatever is to be preserved."""
    joint, answer = (
        Attention().estimate(CHAIN, AdditiveScorer(SHARES), objective) for objective in (Joint(), Answer())
    )
    np.testing.assert_array_equal(joint.scores, answer.scores)


@pytest.mark.parametrize(
    "parameters",
    [
        {"query": "first"},
        {"weights": "norm"},
        {"aggregate": "sum"},
        {"layers": []},
        {"layers": 3},
        {"heads": [0, 0]},
        {"heads": [1.5]},
        {"heads": [True]},
        {"weights": "rollout", "aggregate": "max"},
        {"query": ["answer"]},
    ],
)
def test_parameters_that_are_not_allowed(parameters: dict[str, Any]) -> None:
    """A value that is none of the choices is refused before any work, by the parameter's name."""
    with pytest.raises(EstimatorError, match=f"attention: {list(parameters)[-1]}=.* is not allowed; give"):
        Attention(**parameters).validate_parameters()


def test_a_head_that_the_model_lacks() -> None:
    """A head past the last is an error that says how many there are."""
    with pytest.raises(EstimatorError, match=r"heads=\[0, 2\] .* model that has 2 a layer"):
        Attention(heads=[0, 2]).estimate(CHAIN, AdditiveScorer(), Joint())


@pytest.mark.parametrize("query", ["answer", "last", "later"])
@pytest.mark.parametrize("weights", ["pattern", "value_norm", "rollout"])
def test_it_keeps_the_contract(query: Any, weights: Any) -> None:
    """Attention passes the check that every estimator must pass."""
    check_estimator(Attention(query, weights))
