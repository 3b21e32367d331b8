"""Attention features of units: against loops over the definitions, on toy patterns and on a random llama."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokimp_surrogate.features import KINDS, FeatureSpace, attention_features, unit_features

from tokimp.chains.chain import TokenizedChain
from tokimp.models.loading import load_scorer
from tokimp.testing import AdditiveScorer, toy_chain
from tokimp.testing.random_models import byte_tokenizer, random_model
from tokimp.testing.reference import random_chain, reference_attention

Weights = npt.NDArray[np.floating[Any]]


def entropy(shares: list[float]) -> float:
    """Return the entropy of shares that add up to 1, nats."""
    return -sum(share * math.log(share) for share in shares if share > 0)


def of_unit(weights: Weights, chain: TokenizedChain, number: int) -> dict[str, float]:
    """Return the features of one unit in one head, by loops over [query, key]."""
    start, stop, total = len(chain.prompt_ids), len(chain.prompt_ids) + len(chain.reasoning_ids), len(chain)
    unit = [start + position for position in chain.units[number]]
    earlier = [start + position for other in chain.units[:number] for position in other]
    later = [start + position for other in chain.units[number + 1 :] for position in other]
    after = [*later, *range(stop, total)]
    got = {query: sum(weights[query, key] for key in unit) for query in range(total)}
    received = sum(got[query] for query in after)
    shares = [got[query] / received if received else 0.0 for query in after]
    return {
        "from_answer": float(np.mean([got[query] for query in range(stop - 1, total - 1)])),
        "from_reasoning": float(np.mean([got[query] for query in later])) if later else 0.0,
        "to_prompt": float(np.mean([weights[query, :start].sum() for query in unit])),
        "to_reasoning": float(np.mean([weights[query, earlier].sum() for query in unit])),
        "to_itself": float(np.mean([weights[query, unit].sum() for query in unit])),
        "entropy_given": float(np.mean([entropy(weights[query].tolist()) for query in unit])),
        "entropy_received": entropy(shares),
        "distance_given": float(np.mean([sum(weights[q, k] * (q - k) for k in range(q + 1)) for q in unit])),
        "distance_received": sum(share * (query - unit[-1]) for share, query in zip(shares, after, strict=True)),
    }


def check(features: Weights, weights: Weights, chain: TokenizedChain) -> None:
    """Compare the columns of every unit with the loops."""
    space = FeatureSpace(len(weights), weights.shape[1])
    assert features.shape == (len(chain.units), len(space.names))
    for number, row in enumerate(features):
        named = dict(zip(space.names, row.tolist(), strict=True))
        for layer, head in np.ndindex(*weights.shape[:2]):
            for kind, value in of_unit(weights[layer, head].astype(np.float64), chain, number).items():
                assert named[f"layer {layer} head {head} {kind}"] == pytest.approx(value, abs=2e-5), (number, kind)


@settings(max_examples=15)
@given(
    text=st.text("abc .", min_size=1, max_size=9).filter(str.strip),
    answer=st.text("xy", min_size=1, max_size=3),
    unit=st.sampled_from(["token", "word", "sentence"]),
)
def test_they_are_what_loops_over_the_definitions_give(text: str, answer: str, unit: str) -> None:
    """Whatever the units, each feature is the one defined, in its layer and head."""
    chain, scorer = toy_chain(text, answer=answer, unit=unit), AdditiveScorer({"a": 0.5, "b": -1.0, "c": 2.0})
    features, space = attention_features(chain, scorer)
    assert space == FeatureSpace(2, 2)
    check(features, scorer.pattern(chain).numpy(), chain)


def test_they_are_the_models() -> None:
    """On a random llama they are those of the plain model's weights."""
    chain = random_chain(4, 9, 3)
    scorer = load_scorer(random_model("llama"), "transformer_lens", device="cpu", tokenizer=byte_tokenizer())
    features, _ = attention_features(chain, scorer)
    check(features, reference_attention(random_model("llama"), chain), chain)


def test_a_layer_may_have_mean_and_maximum_in_the_place_of_its_heads() -> None:
    """Without features of each head, a layer has those of its mean head and the largest of any."""
    chain, scorer = toy_chain("abca"), AdditiveScorer({"a": 0.5, "b": -1.0})
    each, space = attention_features(chain, scorer)
    both, reduced = attention_features(chain, scorer, per_head=False)
    by_head = each.reshape(len(each), 2, 2, len(KINDS))
    expected = np.stack([by_head.mean(axis=2), by_head.max(axis=2)], axis=2)
    np.testing.assert_allclose(both, expected.reshape(len(each), -1), atol=1e-6)
    assert reduced.names[0] == "layer 0 mean from_answer"
    assert len(reduced.names) == both.shape[1] == len(space.names)


def test_what_a_unit_gives_adds_up() -> None:
    """The shares given to prompt, earlier units and itself are all there is."""
    chain = toy_chain("ab ca. bc", unit="word")
    found = unit_features(AdditiveScorer({"a": 1.0}).pattern(chain)[1], chain)
    shares = sum(found[:, KINDS.index(kind)] for kind in ("to_prompt", "to_reasoning", "to_itself"))
    torch.testing.assert_close(shares, torch.ones(2, len(chain.units)))


def test_every_column_is_in_one_group_of_its_kind_and_one_of_its_layer() -> None:
    """Groups name columns of their kind, or of their layer."""
    space = FeatureSpace(3, 2)
    groups = space.groups()
    assert sorted(column for kind in KINDS for column in groups[kind]) == list(range(len(space.names)))
    assert sorted(column for layer in range(3) for column in groups[f"layer {layer}"]) == list(range(len(space.names)))
    assert all(space.names[column].endswith(f" {kind}") for kind in KINDS for column in groups[kind])
    assert all(space.names[column].startswith("layer 2 ") for column in groups["layer 2"])
