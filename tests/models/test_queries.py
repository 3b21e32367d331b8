"""Queries at other positions, against those that the plain model computes when its tokens stand there."""

from __future__ import annotations

import sys
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, eager_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from tokimp.contracts.layer_states import LayerStates
from tokimp.errors import UnsupportedError
from tokimp.models.loading import load_scorer
from tokimp.models.queries import AttentionCall
from tokimp.testing.random_models import ARCHITECTURES, byte_tokenizer, random_model
from tokimp.testing.reference import random_chain

CHAIN = random_chain(4, 6, 3)
POSITIONS = [700, 14, 3]
every_backend = pytest.mark.parametrize("backend", ["transformer_lens", "nnsight"])


def seen_queries(architecture: str, position_ids: list[int]) -> list[np.ndarray]:
    """Return the scaled queries of each layer, [head, position, dimension], as the plain model hands them on."""
    seen: list[np.ndarray] = []

    def watch(module: Any, query: Any, key: Any, value: Any, attention_mask: Any, **named: Any) -> Any:
        scaling = named.get("scaling", query.shape[-1] ** -0.5)
        seen.append((query[0] * (query.shape[-1] ** -0.5 if scaling is None else scaling)).numpy())
        own: Any = sys.modules[type(module).__module__]
        return own.eager_attention_forward(module, query, key, value, attention_mask, **named)

    ALL_ATTENTION_FUNCTIONS.register("watched", watch)
    ALL_MASK_ATTENTION_FUNCTIONS.register("watched", eager_mask)
    model: Any = deepcopy(random_model(architecture))
    model.set_attn_implementation("watched")
    with torch.no_grad():
        model(torch.tensor([CHAIN.input_ids]), position_ids=torch.tensor([position_ids]), use_cache=False)
    return seen


def expected(architecture: str) -> list[np.ndarray]:
    """Return the mean over `POSITIONS` of each token's queries, from one pass for each token and position.

    Where rotations alone say where a token stands, all positions may be moved together, and nothing else changes.
    """
    length = len(CHAIN)
    if architecture == "gpt2":
        return seen_queries(architecture, list(range(length)))
    found = [np.zeros_like(layer) for layer in seen_queries(architecture, list(range(length)))]
    for position in POSITIONS:
        for token in range(length):
            moved = seen_queries(architecture, [place + position - token for place in range(length)])
            for total, layer in zip(found, moved, strict=True):
                total[:, token] += layer[:, token] / len(POSITIONS)
    return found


@every_backend
@pytest.mark.parametrize("architecture", [name for name in ARCHITECTURES if name != "gemma2"])
def test_queries_are_those_of_the_model_at_these_positions(architecture: str, backend: str) -> None:
    """They are the mean over positions, some far beyond the chain, scaled as the model scales them."""
    scorer = load_scorer(random_model(architecture), backend, device="cpu", tokenizer=byte_tokenizer())
    found = scorer.states(CHAIN, lambda states: states.queries(POSITIONS))
    for layer, wanted in zip(found, expected(architecture), strict=True):
        np.testing.assert_allclose(layer, wanted, atol=2e-4 * np.abs(wanted).max())


@every_backend
def test_their_products_with_the_keys_give_the_weights(backend: str) -> None:
    """At its own position a query gives the row of attention weights that the layer has."""
    scorer = load_scorer(random_model("llama"), backend, device="cpu", tokenizer=byte_tokenizer())

    def apart(states: LayerStates) -> torch.Tensor:
        keys = states.keys.repeat_interleave(len(states.pattern) // len(states.keys), dim=0)
        rows = [
            (states.queries([row])[:, row, None] @ keys[:, : row + 1].transpose(1, 2)).softmax(dim=-1)[:, 0]
            - states.pattern[:, row, : row + 1]
            for row in range(len(CHAIN))
        ]
        return torch.cat([row.abs().amax(dim=-1) for row in rows])

    assert scorer.states(CHAIN, apart).max() < 1e-4


@every_backend
def test_a_model_that_caps_its_scores_is_refused(backend: str) -> None:
    """Gemma 2 bends the products of queries and keys before the softmax, so that they are not what it goes by."""
    scorer = load_scorer(random_model("gemma2"), backend, device="cpu", tokenizer=byte_tokenizer())
    with pytest.raises(UnsupportedError, match=r"gemma2\): the queries of .* not a softmax of the products"):
        scorer.states(CHAIN, lambda states: states.queries(POSITIONS))


class Turning(torch.nn.Module):
    """An attention that turns its queries by itself, or computes weights that are no softmax of products."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def weights(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the weights, [1, head, query, key]."""
        queries = hidden[:, None]
        if self.kind == "turns":
            queries = queries * torch.arange(1.0, 1 + hidden.shape[1])[None, None, :, None]
        products = torch.matmul(queries, hidden[:, None].transpose(2, 3))
        return (products**3 if self.kind == "cubes" else products).softmax(dim=-1)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return what attention puts out."""
        return torch.matmul(self.weights(hidden), hidden[:, None])[:, 0]


@pytest.mark.parametrize(("kind", "why"), [("turns", "turns its queries with the position"), ("cubes", "no.* softmax")])
def test_an_attention_of_another_kind_is_refused(kind: str, why: str) -> None:
    """Queries that turn by a rule that is not seen, or weights of another kind, are an error, not other numbers."""
    hidden = torch.randn(1, 6, 4, generator=torch.Generator().manual_seed(0))
    attention = Turning(kind)
    call = AttentionCall(attention, (hidden,), {}, attention.weights(hidden)[0])
    with pytest.raises(UnsupportedError, match=why):
        call.queries_at([9])
    plain = Turning("plain")
    own = AttentionCall(plain, (hidden,), {}, plain.weights(hidden)[0]).queries_at([9])
    torch.testing.assert_close(own, hidden.float(), atol=1e-5, rtol=1e-5)


def test_uneven_rotations_are_refused() -> None:
    """Cosines that do not turn evenly cannot be continued to other positions."""
    hidden = torch.randn(1, 6, 4, generator=torch.Generator().manual_seed(0))
    plain = Turning("plain")
    plain.forward = lambda hidden, position_embeddings: Turning.forward(plain, hidden)  # type: ignore[method-assign,assignment,misc]
    angles = torch.arange(6.0)[None, :, None].expand(1, 6, 4) ** 2
    call = AttentionCall(
        plain, (hidden,), {"position_embeddings": (angles.cos(), angles.sin())}, plain.weights(hidden)[0]
    )
    with pytest.raises(UnsupportedError, match="do not turn evenly"):
        call.queries_at([9])
