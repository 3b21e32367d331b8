"""Information flow: shares by proximity, summed over layers, passed on in hops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tokimp_flow import InformationFlow
from tokimp_flow.proximity import flow_into, proximity, shares

from tests.plugins.flow.layers import layer_of
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import Joint
from tokimp.errors import EstimatorError
from tokimp.models.loading import load_scorer
from tokimp.testing import AdditiveScorer, check_estimator, toy_chain
from tokimp.testing.random_models import byte_tokenizer, random_model
from tokimp.testing.reference import random_chain

SHARES = {"a": 0.5, "b": -0.25, "c": 1.0, "d": -1.5}


def test_shares_are_by_proximity() -> None:
    """Of x = (3, 1) the parts (2, 0), (0, 1) and the residual (1, 0) have shares 1/2, 1/4 and 1/4."""
    near = proximity(torch.tensor([3.0, 1.0]), torch.tensor([[2.0, 0.0], [0.0, 1.0], [1.0, 0.0]]))
    assert near.tolist() == [2, 1, 1]
    assert shares(near).tolist() == [0.5, 0.25, 0.25]
    assert shares(torch.zeros(2)).tolist() == [0, 0]


def test_keys_get_the_shares_of_what_is_moved_from_them() -> None:
    """In a layer with those parts, the first key gets 1/2 and the second 1/4; the residual keeps the rest."""
    values = torch.tensor([[[4.0, 0.0], [0.0, 2.0]]])
    pattern = torch.tensor([[[1.0, 0.0], [0.5, 0.5]]])
    layer = layer_of(torch.tensor([[0.0, 0.0], [1.0, 0.0]]), pattern, values, torch.eye(2)[None])
    assert flow_into(layer, torch.tensor([0.0, 1.0])).tolist() == [0.5, 0.25]


def by_loops(scorer: Any, chain: TokenizedChain, hops: int) -> Any:
    """Return the score of each position by loops over layers, heads and keys, in float64."""
    layers: list[Any] = []
    scorer.states(chain, lambda states: layers.append(states) or states.after)  # type: ignore[func-returns-value]
    start, stop = len(chain.prompt_ids), len(chain.prompt_ids) + len(chain.reasoning_ids)

    def into(weights: Any) -> Any:
        scores = np.zeros(len(chain))
        for layer in layers:
            whole = sum(w * layer.middle[i].double().numpy() for i, w in enumerate(weights))
            parts: dict[Any, Any] = {
                "residual": sum(w * layer.before[i].double().numpy() for i, w in enumerate(weights))
            }
            for head in range(len(layer.pattern)):
                for key in range(len(chain)):
                    moved = (layer.values[head, key] @ layer.output[head]).double().numpy()
                    received = sum(
                        w * float(layer.scale[i]) * float(layer.pattern[head, i, key]) for i, w in enumerate(weights)
                    )
                    parts[head, key] = received * moved
            near = {name: max(0.0, np.abs(whole).sum() - np.abs(whole - part).sum()) for name, part in parts.items()}
            for name, value in near.items():
                if name != "residual":
                    scores[name[1]] += value / sum(near.values())
        return scores

    weights = np.zeros(len(chain))
    weights[stop - 1 : -1] = 1
    scores = into(weights)
    total, reaches = scores.copy(), 1.0
    for _ in range(hops):
        carried = np.where((np.arange(len(chain)) >= start) & (np.arange(len(chain)) < stop), scores, 0)
        reaches *= carried.sum() / scores.sum()
        scores = into(carried)
        total += reaches * scores
    return total[start:stop]


@pytest.mark.parametrize("hops", [0, 1, 2])
def test_it_is_the_definition_on_a_scorer_in_closed_form(hops: int) -> None:
    """Scores are those of loops over the definition, with any number of hops."""
    chain, scorer = toy_chain("abcd", answer="xy"), AdditiveScorer(SHARES)
    found = InformationFlow(hops).estimate(chain, scorer, Joint())
    np.testing.assert_allclose(found.scores, by_loops(scorer, chain, hops), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("backend", ["transformer_lens", "nnsight"])
@pytest.mark.parametrize("architecture", ["llama", "gemma2"])
def test_it_is_the_definition_on_a_model(architecture: str, backend: str) -> None:
    """On random models, one with a norm after attention, it is what loops make of their states; hops cost a pass."""
    chain = random_chain(3, 8, 2)
    scorer = load_scorer(random_model(architecture), backend, device="cpu", tokenizer=byte_tokenizer())
    found = InformationFlow().estimate(chain, scorer, Joint())
    assert scorer.tokens_forwarded == 2 * len(chain)
    np.testing.assert_allclose(found.scores, by_loops(scorer, chain, 1), rtol=1e-3, atol=1e-5)
    assert 0 < found.diagnostics["reasoning_share"] < 1


def test_units_have_the_sum_of_their_tokens_and_layers_are_chosen() -> None:
    """A word has the flow of its tokens; the layers asked for are summed, and no others."""
    scorer = AdditiveScorer(SHARES)
    token, word = (
        InformationFlow(0).estimate(toy_chain("ab cd", unit=unit), scorer, Joint()).scores for unit in ("token", "word")
    )
    np.testing.assert_allclose(word, [token[:2].sum(), token[2:].sum()])
    parts = [InformationFlow(0, [layer]).estimate(toy_chain("ab cd"), scorer, Joint()).scores for layer in (0, -1)]
    np.testing.assert_allclose(parts[0] + parts[1], token, rtol=1e-6)


@pytest.mark.parametrize("parameters", [{"hops": -1}, {"layers": []}])
def test_parameters_that_are_not_allowed(parameters: dict[str, Any]) -> None:
    """A wrong value is refused by name."""
    (name,) = parameters
    with pytest.raises(EstimatorError, match=rf"information_flow: {name}=.* is not allowed"):
        InformationFlow(**parameters).validate_parameters()


@pytest.mark.parametrize("hops", [0, 2])
def test_it_keeps_the_contract(hops: int) -> None:
    """It passes the check that every estimator must pass."""
    check_estimator(InformationFlow(hops))
