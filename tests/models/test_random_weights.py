"""Weights replaced by random numbers from the output down: which, by what, and that everything else stays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tokimp.errors import ScorerError
from tokimp.models.loading import load_model, load_scorer
from tokimp.models.random_weights import RandomWeights, cuts, randomize
from tokimp.testing.random_models import byte_tokenizer, random_model
from tokimp.testing.reference import random_chain, reference_logprobs


def changed(model: Any, wanted: str) -> set[str]:
    """Return the names of the parameters that a cut replaces in a model."""
    original = {name: value.clone() for name, value in model.state_dict().items()}
    randomize(model, RandomWeights.read(wanted), "small")
    return {name for name, value in model.state_dict().items() if not torch.equal(value, original[name])}


def test_the_head_is_replaced_first_and_the_embeddings_last() -> None:
    """Each cut replaces the head, the blocks counted from the output down, and only the last one the embeddings."""
    head = {"model.norm.weight", "lm_head.weight"}
    names = set(dict(random_model("llama").state_dict()))
    uppermost = {name for name in names if name.startswith("model.layers.2.")}
    # Fresh norms are all ones: they have no spread, so they stay.
    norms = {name for name in names if name.endswith("norm.weight")}
    assert changed(random_model("llama"), "head") == head - norms
    assert changed(random_model("llama"), "head+1") == (head | uppermost) - norms
    assert changed(random_model("llama"), "all") == names - norms


def test_position_embeddings_stay_until_all_is_replaced() -> None:
    """GPT-2's learned positions belong to the embeddings, not to the head."""
    assert "transformer.wpe.weight" not in changed(random_model("gpt2"), "head+3")
    assert "transformer.wpe.weight" in changed(random_model("gpt2"), "all")


def test_a_deeper_cut_keeps_what_a_shallower_one_drew() -> None:
    """The numbers of a parameter follow from the seed and its name alone, and differ between equal shapes."""
    shallow, deep, other = random_model("llama"), random_model("llama"), random_model("llama")
    for model, wanted in ((shallow, "head+1"), (deep, "all"), (other, "all:seed=1")):
        randomize(model, RandomWeights.read(wanted), "small")
    query = "model.layers.2.self_attn.q_proj.weight"
    assert torch.equal(shallow.state_dict()[query], deep.state_dict()[query])
    assert not torch.equal(deep.state_dict()[query], other.state_dict()[query])
    gate, up = (deep.state_dict()[f"model.layers.2.mlp.{name}_proj.weight"] for name in ("gate", "up"))
    assert gate.shape == up.shape
    assert not torch.equal(gate, up)


def test_the_numbers_have_the_mean_and_the_spread_of_the_original() -> None:
    """A norm's gain stays around its mean, and a matrix keeps its spread."""
    model = random_model("llama", hidden_size=128)
    with torch.no_grad():
        model.model.norm.weight += 0.2 * torch.randn(128, generator=torch.Generator().manual_seed(0))
    before = {name: (value.mean(), value.std()) for name, value in model.state_dict().items()}
    randomize(model, RandomWeights(None), "small")
    for name, (mean, spread) in before.items():
        value = model.state_dict()[name]
        error = 4 * float(spread) / value.numel() ** 0.5
        assert abs(float(value.mean() - mean)) <= error, name
        assert abs(float(value.std() - spread)) <= error, name


@pytest.mark.parametrize("backend", ["transformer_lens", "nnsight"])
@pytest.mark.parametrize("tied", [False, True])
def test_both_backends_score_the_randomised_model(backend: str, tied: bool) -> None:
    """A scorer gives the numbers of the replaced weights, with an untied head, and another fingerprint."""
    expected_model = random_model("llama", tie_word_embeddings=tied)
    chain = random_chain(4, 8, 2)
    original = load_scorer(expected_model, backend, device="cpu", tokenizer=byte_tokenizer())
    scorer = load_scorer(expected_model, backend, device="cpu", tokenizer=byte_tokenizer(), random_weights="head+1")
    untouched = original.logprobs([chain])[0]
    randomize(expected_model, RandomWeights(1), "small")
    expected = reference_logprobs(expected_model, chain.prompt_ids, chain.reasoning_ids + chain.answer_ids)
    found = scorer.logprobs([chain])[0]
    np.testing.assert_allclose(np.concatenate([found.reasoning, found.answer]), expected, atol=1e-4)
    assert not np.allclose(found.reasoning, untouched.reasoning, atol=0.1)
    assert scorer.fingerprint() != original.fingerprint()
    assert scorer.loading["random_weights"] == "head+1"


def test_the_model_object_keeps_its_weights() -> None:
    """Weights are shared with the object that was given, and replacing them leaves it as it is."""
    model = random_model("llama", tie_word_embeddings=True)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    load_model(model, tokenizer=byte_tokenizer(), random_weights="all")
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.config.tie_word_embeddings


def test_cuts_go_from_the_head_to_all_weights() -> None:
    """All cuts are one a block with the head before and the embeddings after; fewer are spread evenly."""
    assert [str(cut) for cut in cuts(2)] == ["head", "head+1", "head+2", "all"]
    assert [str(cut) for cut in cuts(30, 4, seed=1)] == [
        "head:seed=1",
        "head+10:seed=1",
        "head+21:seed=1",
        "all:seed=1",
    ]
    assert [str(cut) for cut in cuts(1, 9)] == ["head", "head+1", "all"]
    assert all(RandomWeights.read(str(cut)) == cut for cut in cuts(5, seed=3))


@pytest.mark.parametrize("written", ["tail", "head+", "all+1", "head+1:seed=x", 3])
def test_what_cannot_be_read_is_refused(written: Any) -> None:
    """The message says how to write it."""
    with pytest.raises(ScorerError, match=r"write 'head'"):
        RandomWeights.read(written)


def test_more_blocks_than_there_are_is_refused() -> None:
    """The message says how many there are."""
    with pytest.raises(ScorerError, match="has 3 blocks"):
        randomize(random_model("llama"), RandomWeights(4), "small")
