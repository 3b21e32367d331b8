"""Receiver heads: scores from afar, kurtosis, the choice of heads, and the file of their list."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokimp_receiver_heads import HeadList, ReceiverHeads, choose_heads, read_heads, receiver_scores, save_heads
from tokimp_receiver_heads.heads import choose, head_kurtosis

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import Joint
from tokimp.errors import EstimatorError
from tokimp.models.loading import load_scorer
from tokimp.testing import AdditiveScorer, check_estimator, toy_chain
from tokimp.testing.random_models import byte_tokenizer, random_model
from tokimp.testing.reference import random_chain, reference_attention

SHARES = {"a": 0.5, "b": -0.25, "c": 1.0, "d": -1.5}


def by_loops(weights: Any, chain: TokenizedChain, near: int) -> Any:
    """Return the scores, [layer, head, unit], by loops over the definition."""
    start, units = len(chain.prompt_ids), chain.units
    scores = np.zeros((*weights.shape[:2], len(units)))
    for layer, head in np.ndindex(*weights.shape[:2]):
        for i, keys in enumerate(units):
            later = [
                np.mean([weights[layer, head, start + q, start + k] for q in queries for k in keys])
                for j, queries in enumerate(units)
                if j >= i + near
            ]
            scores[layer, head, i] = np.mean(later) if later else 0
    return scores


@pytest.mark.parametrize("near", [1, 2, 4])
@pytest.mark.parametrize("unit", ["token", "word"])
def test_scores_are_means_over_later_units(unit: str, near: int) -> None:
    """Scores are the mean, over units far enough behind, of the mean weight between two units' tokens."""
    chain, scorer = toy_chain("ab c dab cc da", unit=unit), AdditiveScorer(SHARES)
    expected = by_loops(scorer.attention(chain), chain, near)
    np.testing.assert_allclose(receiver_scores(chain, scorer, near), expected, atol=1e-6)


def test_kurtosis_singles_out() -> None:
    """Scores (0, 0, 0, 0, 1) have the excess kurtosis 0.25; what is all alike comes last; the ends are left out."""
    scores = np.array([[[0, 0, 0, 0, 1.0], [0.5] * 5]])
    np.testing.assert_allclose(head_kurtosis(scores, near=0, skip=0), [[0.25, -3]])
    padded = np.concatenate([[[[7.0], [7.0]]], scores, np.zeros((1, 2, 4))], axis=-1)
    np.testing.assert_allclose(head_kurtosis(padded, near=4, skip=1), [[0.25, -3]])
    assert head_kurtosis(scores[..., :2], near=1, skip=0).tolist() == [[-3, -3]]


def test_the_highest_are_chosen_from_the_first_layer_on() -> None:
    """Ties go by layer and head."""
    assert choose(np.array([[1.0, 3.0], [3.0, 2.0]]), 3) == [(0, 1), (1, 0), (1, 1)]


@pytest.mark.parametrize("backend", ["transformer_lens", "nnsight"])
def test_it_is_the_models(backend: str) -> None:
    """On a random llama it is the mean over the chosen heads of what loops make of the plain model's weights."""
    chain = replace(random_chain(4, 20, 3), units=tuple((2 * i, 2 * i + 1) for i in range(10)))
    scorer = load_scorer(random_model("llama"), backend, device="cpu", tokenizer=byte_tokenizer())
    scores = by_loops(reference_attention(random_model("llama"), chain), chain, 4)
    order = np.argsort(-head_kurtosis(scores, 4, 0), axis=None)[:3]
    found = ReceiverHeads(top=3).estimate(chain, scorer, Joint())
    np.testing.assert_allclose(found.scores, scores.reshape(-1, 10)[order].mean(axis=0), atol=1e-5)
    assert found.diagnostics["unscored_units"] == 4
    assert (found.scores[-4:] == 0).all()


def test_a_list_of_heads_is_kept_and_used(tmp_path: Path) -> None:
    """Heads chosen over several chains are written, read again, and used with the distance they were chosen with."""
    chains = [toy_chain("abcdabcdab", id="one"), toy_chain("ddabcabcdaab", id="two"), toy_chain("ab", id="short")]
    scorer, path = AdditiveScorer(SHARES), tmp_path / "heads.json"
    listed = choose_heads(chains, scorer, top=2, near=2)
    assert (listed.chains, listed.unit, listed.near) == (2, "token", 2)
    kurtoses = np.mean([head_kurtosis(receiver_scores(one, scorer, 2), 2, 0) for one in chains[:2]], axis=0)
    assert list(listed.heads) == choose(kurtoses, 2)
    save_heads(listed, path)
    assert read_heads(path) == replace(listed, kurtosis=read_heads(path).kurtosis)
    found = ReceiverHeads(str(path)).estimate(chains[0], scorer, Joint()).scores
    layers, heads = zip(*listed.heads, strict=True)
    np.testing.assert_allclose(found, receiver_scores(chains[0], scorer, 2)[layers, heads].mean(axis=0))
    assert set(ReceiverHeads(str(path)).input_digests()) == {"path"}


def test_heads_of_another_model_are_refused(tmp_path: Path) -> None:
    """A list names the model that it belongs to; with another one it is an error that says what to do."""
    listed = choose_heads([toy_chain("abcdabcdab")], AdditiveScorer(SHARES), top=2)
    save_heads(listed, tmp_path / "heads.json")
    with pytest.raises(EstimatorError, match=r"lists heads of another model.*choose_heads"):
        ReceiverHeads(str(tmp_path / "heads.json")).estimate(toy_chain("abcdabcd"), AdditiveScorer(), Joint())


@pytest.mark.parametrize("text", ["[]", "{}", "not json", '{"format": "tokimp receiver heads 1", "heads": [[1]]}'])
def test_a_file_that_is_no_list_is_refused(text: str, tmp_path: Path) -> None:
    """Any other file is an error before any work starts."""
    path = tmp_path / "heads.json"
    path.write_text(text)
    with pytest.raises(EstimatorError, match="is no list of receiver heads"):
        ReceiverHeads(str(path)).validate_parameters()
    with pytest.raises(EstimatorError, match="there is no such file"):
        ReceiverHeads(str(tmp_path / "other.json")).validate_parameters()


def test_chains_that_are_too_short_choose_nothing() -> None:
    """Without a chain of enough units no head can be chosen."""
    with pytest.raises(EstimatorError, match="at least 6 units"):
        choose_heads([toy_chain("abc")], AdditiveScorer(SHARES))


def test_a_chain_that_is_too_short_scores_nothing() -> None:
    """Where no unit is far enough from another, all scores are 0, and a diagnostic says for how many units."""
    found = ReceiverHeads().estimate(toy_chain("abc"), AdditiveScorer(SHARES), Joint())
    assert found.scores.tolist() == [0, 0, 0]
    assert found.diagnostics["unscored_units"] == 3


def test_the_list_has_what_it_says() -> None:
    """The list is a plain record of numbers and texts."""
    listed = choose_heads([toy_chain("abcdabcdab")], AdditiveScorer(SHARES), top=9)
    assert isinstance(listed, HeadList)
    assert len(listed.heads) == len(listed.kurtosis) == 4
    assert list(listed.kurtosis) == sorted(listed.kurtosis, reverse=True)


@pytest.mark.parametrize("parameters", [{}, {"top": 1, "near": 1, "skip": 1}])
def test_it_keeps_the_contract(parameters: dict[str, int]) -> None:
    """It passes the check that every estimator must pass."""
    check_estimator(ReceiverHeads(**parameters))  # type: ignore[arg-type] # whole numbers
