"""A model that reads packs: the log-probabilities of whole sequences, on every architecture that it takes."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tests.models.packs.architectures import NOT_PACKABLE, PACKABLE
from tokimp.contracts.objective import Answer, Contrast, Joint, Objective
from tokimp.contracts.unit_deletions import score_unit_deletions
from tokimp.models.causal_lm import CausalLMScorer
from tokimp.models.deletion.key_value_pool import KeyValuePool
from tokimp.models.loading import load_scorer
from tokimp.models.packs.pack import Pack, PackRow
from tokimp.models.packs.packed_model import NotPackable, PackedModel, refuse_hidden_windows
from tokimp.testing.random_models import byte_tokenizer, random_model
from tokimp.testing.reference import random_chain, reference_deletion, reference_logprobs


@cache
def plain(architecture: str) -> Any:
    """Return a model that no scorer changes."""
    return random_model(architecture, **PACKABLE[architecture])


@cache
def packed_model(architecture: str = "llama") -> PackedModel:
    """Return what reads packs of it."""
    return PackedModel(plain(architecture))


@pytest.mark.parametrize("architecture", PACKABLE)
@pytest.mark.parametrize("objective", [Joint(), Answer(), Contrast()], ids=lambda objective: objective.name)
def test_deletions_score_what_whole_sequences_score(architecture: str, objective: Objective) -> None:
    """Over three steps, units of one to three tokens and rows longer than a window score as plain transformers."""
    scorer = load_scorer(plain(architecture), "nnsight", device="cpu", tokenizer=byte_tokenizer(), packed=True)
    assert isinstance(scorer, CausalLMScorer)
    assert scorer.batching == "packs of rows of any length"
    chain = replace(random_chain(6, 10, 3, wrong_answer=2), units=((0,), (1, 2), (3, 4, 5), (6,), (7,), (8, 9)))
    assert chain.wrong_answer_ids is not None
    kept = list(range(6))
    for gone in (3, 1, 0):
        scores = score_unit_deletions(scorer, chain, kept, objective).objective
        tokens = [token for unit in kept for token in chain.units[unit]]
        for unit, score in zip(kept, scores, strict=True):
            whole = [
                reference_deletion(plain(architecture), chain, tokens, chain.units[unit], answer)
                for answer in (chain.answer_ids, chain.wrong_answer_ids)
            ]
            wanted = {"joint": sum(whole[0]), "answer": whole[0][1], "contrast": whole[0][1] - whole[1][1]}
            assert score == pytest.approx(wanted[objective.name], abs=1e-4)
        kept.remove(gone)


def three_rows(pool: KeyValuePool) -> tuple[Pack, list[list[int]]]:
    """Return a pack of a row and two that continue it at different places, and the three sequences in full."""
    first = np.array([5, 6, 7, 8, 9, 10, 11, 12, 13, 14])
    slots = [pool.allocate(length) for length in (10, 3, 1)]
    ids = [first, np.array([20, 21, 22]), np.array([30])]
    pasts = [slots[0][:0], slots[0][:4], slots[0][:10]]
    rows = [
        PackRow(own, past, new, np.stack([own, own + 1], axis=1))
        for own, past, new in zip(ids, pasts, slots, strict=True)
    ]
    return Pack.of(rows), [[*first[: len(past)], *own] for past, own in zip(pasts, ids, strict=True)]


@pytest.mark.parametrize("most_logits", [1, 700, 10**6])
def test_projection_in_slices_gives_what_it_gives_at_once(most_logits: int) -> None:
    """However few logits are formed together, each position has the log-probabilities of its whole sequence."""
    pool = KeyValuePool()
    pack, sequences = three_rows(pool)
    reader = packed_model()
    with torch.no_grad():
        found = reader.logprobs(reader.hidden(pack, pool), torch.from_numpy(pack.tokens), most_logits).numpy()
    expected = [
        [reference_logprobs(plain("llama"), sequence[: place + 1], [token])[0] for token in pack.tokens[begin + index]]
        for begin, end, sequence in zip(pack.row_starts, pack.row_starts[1:], sequences, strict=False)
        for index, place in enumerate(range(len(sequence) - int(end - begin), len(sequence)))
    ]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_logits_are_formed_within_their_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more positions are projected together than the budget of logits allows, and only scored ones at all."""
    pool, reader = KeyValuePool(), packed_model()
    pack, _ = three_rows(pool)
    project, sizes = reader._logits, []

    def measured(hidden: torch.Tensor) -> torch.Tensor:
        logits = project(hidden)
        sizes.append(logits.numel())
        return logits

    monkeypatch.setattr(reader, "_logits", measured)
    scored = replace(pack, scored=pack.scored[-5:], tokens=pack.tokens[-5:])
    with torch.no_grad():
        hidden = reader.hidden(scored, pool)
        reader.logprobs(hidden, torch.from_numpy(scored.tokens), 2 * 300)
    assert sizes == [600, 600, 300]


def test_the_model_is_left_as_it_is() -> None:
    """Reading packs shares the model's weights, and changes neither its attention nor its forward pass."""
    model = random_model("llama")
    reader = PackedModel(model)
    assert model.config._attn_implementation == "eager"
    own = {parameter.data_ptr() for parameter in model.parameters()}
    assert {parameter.data_ptr() for parameter in reader._model.parameters()} == own
    assert "forward" not in vars(model.base_model)


def test_nothing_scored_costs_no_projection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pack that asks for nothing, such as a base under the objective answer, gives an empty array."""
    reader = packed_model()
    monkeypatch.setattr(reader, "_logits", lambda hidden: pytest.fail("projected"))
    found = reader.logprobs(torch.zeros(0, 32), torch.zeros(0, 2, dtype=torch.long), 10**6)
    assert found.shape == (0, 2)
    assert found.dtype == torch.float32


@pytest.mark.parametrize("architecture", [name for name in NOT_PACKABLE if name != "lfm2"])
def test_attention_that_packs_cannot_express_is_refused(architecture: str) -> None:
    """Soft-capping, sinks, biases by distance and attention of a model's own are told by a reason."""
    fields, reason = NOT_PACKABLE[architecture]
    with pytest.raises(NotPackable, match=reason or "."):
        PackedModel(random_model(architecture, **fields))


@pytest.mark.parametrize(
    ("fields", "asked"),
    [
        ({"sliding_window": 4096}, [None] * 3),
        (
            {"sliding_window": 4096, "layer_types": ["sliding_attention", "full_attention"] * 2},
            [4096, None, None, None],
        ),
        ({"layer_types": ["chunked_attention", "full_attention", "full_attention"]}, [None] * 3),
    ],
)
def test_a_window_of_which_attention_is_not_told_is_refused(fields: dict[str, Any], asked: list[int | None]) -> None:
    """A window longer than the trial, kept in the mask alone, would be lost in packs; so such models keep batches."""
    with pytest.raises(NotPackable, match="of which their attention is not told"):
        refuse_hidden_windows(SimpleNamespace(num_hidden_layers=3, **fields), asked)


def test_windows_longer_than_the_trial_are_known_from_what_layers_ask_for() -> None:
    """Each layer's window is recorded when a pack is read, so a model that passes its windows on is taken."""
    assert PackedModel(random_model("mistral", sliding_window=4096)).windows == [4096] * 3
    assert packed_model("gemma3_text").windows == [8, 8, None]
    assert packed_model("llama").windows == [None] * 3
