"""Value zeroing: how far the vectors that predict the answer turn without a unit's values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tokimp_flow import ValueZeroing, value_zeroing
from tokimp_flow.value_zeroing import turning

from tests.plugins.flow.layers import layer_of
from tokimp.contracts.objective import Joint
from tokimp.errors import EstimatorError
from tokimp.models.loading import load_scorer
from tokimp.testing import AdditiveScorer, check_estimator, toy_chain
from tokimp.testing.random_models import byte_tokenizer, random_model
from tokimp.testing.reference import random_chain

SHARES = {"a": 0.5, "b": -0.25, "c": 1.0, "d": -1.5}


def test_worked_numbers() -> None:
    """Residual (1, 0), weights (1/2, 1/2), values (1, 0) and (0, 1): distances 0.01005 and 0.05132."""
    values = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    pattern = torch.tensor([[[1.0, 0.0], [0.5, 0.5]]])
    layer = layer_of(torch.tensor([[0.0, 1.0], [1.0, 0.0]]), pattern, values, torch.eye(2)[None])
    found = turning(layer, [[0], [1]], slice(1, 2))[:, 0]
    np.testing.assert_allclose(found, [0.01005, 0.05132], atol=1e-5)
    np.testing.assert_allclose(found / found.sum(), [0.1638, 0.8362], atol=1e-4)
    assert turning(layer, [[1]], slice(0, 1)).tolist() == [[0.0]]  # a later value does not reach an earlier row


def by_hand(model: Any, chain: Any, layer: int, positions: list[int]) -> torch.Tensor:
    """Return the output of a llama's block, run in the plain model with a hook on its value projection."""
    outputs: list[torch.Tensor] = []
    block = model.model.layers[layer]

    def silence(module: Any, arguments: Any, output: torch.Tensor) -> torch.Tensor:
        return output.index_fill(1, torch.tensor(positions, dtype=torch.long), 0.0)

    def keep(module: Any, arguments: Any, output: torch.Tensor) -> None:
        outputs.append(output[0])

    with torch.no_grad(), block.self_attn.v_proj.register_forward_hook(silence), block.register_forward_hook(keep):
        model(torch.tensor([chain.input_ids]), use_cache=False)
    return outputs[0].double()


@pytest.mark.parametrize("backend", ["transformer_lens", "nnsight"])
def test_it_is_what_hooks_make_of_the_model(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a random llama it is the definition, by hooks on the plain model, however many versions run together."""
    chain = random_chain(3, 6, 2)
    model = random_model("llama")
    scorer = load_scorer(model, backend, device="cpu", tokenizer=byte_tokenizer())
    rows, expected = slice(8, 10), np.zeros(6)
    groups = [[3 + position] for position in range(6)] + [[0, 1, 2], [9, 10]]
    for layer in range(3):
        clean = by_hand(model, chain, layer, [])[rows]
        cosines = [
            torch.cosine_similarity(by_hand(model, chain, layer, group)[rows], clean, dim=-1) for group in groups
        ]
        distance = 1 - torch.stack(cosines)
        expected += (distance / distance.sum(dim=0))[:6].mean(dim=1).numpy() / 3
    found = ValueZeroing().estimate(chain, scorer, Joint()).scores
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert scorer.tokens_forwarded == len(chain)
    monkeypatch.setattr(value_zeroing, "_NUMBERS_AT_ONCE", 1)
    np.testing.assert_allclose(ValueZeroing().estimate(chain, scorer, Joint()).scores, found, atol=1e-6)


def test_a_unit_is_zeroed_as_a_whole() -> None:
    """A word turns the answer by what all its tokens hold, unscaled and from one layer."""
    chain, scorer = toy_chain("ab cd", unit="word"), AdditiveScorer(SHARES)
    found = ValueZeroing([0], "none").estimate(chain, scorer, Joint()).scores
    expected: list[float] = []

    def turn(states: Any) -> torch.Tensor:
        for unit in chain.units:
            values = states.values.clone()
            values[:, [1 + position for position in unit]] = 0
            moved = states.before + torch.einsum("hqk,hkd,hdm->qm", states.pattern, values, states.output)
            expected.append(1 - float(torch.cosine_similarity(moved[5], states.after[5], dim=0)))
        after: torch.Tensor = states.after
        return after

    scorer.states(chain, turn, layers=[0])
    np.testing.assert_allclose(found, expected[:2], atol=1e-5)


@pytest.mark.parametrize("parameters", [{"layers": []}, {"normalise": "columns"}])
def test_parameters_that_are_not_allowed(parameters: dict[str, Any]) -> None:
    """A wrong value is refused by name."""
    (name,) = parameters
    with pytest.raises(EstimatorError, match=rf"value_zeroing: {name}=.* is not allowed"):
        ValueZeroing(**parameters).validate_parameters()


@pytest.mark.parametrize("normalise", ["rows", "none"])
def test_it_keeps_the_contract(normalise: Any) -> None:
    """It passes the check that every estimator must pass."""
    check_estimator(ValueZeroing(normalise=normalise))
