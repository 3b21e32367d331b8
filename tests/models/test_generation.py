"""Sampling from a nucleus: the fewest most likely tokens with enough probability together."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tokimp.errors import ScorerError
from tokimp.models.generation import within_nucleus
from tokimp.models.writing.transformers_engine import TransformersEngine
from tokimp.testing.random_models import byte_tokenizer, random_model


def nucleus_by_hand(probabilities: list[float], top_p: float) -> set[int]:
    """Return the tokens of the nucleus, taken one by one from the most likely one on."""
    taken: list[int] = []
    for token in sorted(range(len(probabilities)), key=lambda token: -probabilities[token]):
        if math.fsum(probabilities[other] for other in taken) >= top_p:
            break
        taken.append(token)
    return set(taken)


@pytest.mark.parametrize(
    ("top_p", "expected"), [(0.01, {1}), (0.4, {1}), (0.6, {1, 3}), (0.85, {0, 1, 3}), (0.99, {0, 1, 2, 3})]
)
def test_the_nucleus_of_a_known_distribution(top_p: float, expected: set[int]) -> None:
    """Of probabilities .2, .5, .05 and .25 the most likely ones are kept until they have `top_p` together."""
    probabilities = [0.2, 0.5, 0.05, 0.25]
    kept = within_nucleus(torch.tensor([probabilities]).log(), top_p)[0]
    assert set(torch.isfinite(kept).nonzero().flatten().tolist()) == expected == nucleus_by_hand(probabilities, top_p)


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=30), st.floats(0.001, 0.999))
def test_the_nucleus_is_that_of_its_definition(weights: list[int], top_p: float) -> None:
    """What is kept keeps its score and is the nucleus by hand, of equally likely tokens those of lower ids."""
    probabilities = (np.array(weights) / sum(weights)).tolist()
    ordered = sorted(probabilities, reverse=True)
    together = [math.fsum(ordered[:count]) for count in range(len(ordered) + 1)]
    if any(abs(total - top_p) < 1e-5 for total in together):
        return  # single precision cannot tell
    scores = torch.tensor([probabilities], dtype=torch.float64).log().float()
    kept = within_nucleus(scores, top_p)
    inside = torch.isfinite(kept)
    assert set(inside[0].nonzero().flatten().tolist()) == nucleus_by_hand(probabilities, top_p)
    assert torch.equal(kept[inside], scores[inside])


def test_a_nucleus_of_equally_likely_tokens_begins_with_the_lowest_id() -> None:
    """A small nucleus among ties is the token that is taken without sampling."""
    kept = within_nucleus(torch.zeros(2, 300), 1e-6)
    assert kept.argmax(dim=-1).tolist() == [0, 0]
    assert torch.isfinite(kept).sum(dim=-1).tolist() == [1, 1]


def test_written_tokens_are_those_of_the_nucleus() -> None:
    """First tokens come from the nucleus of softmax(logits / temperature) alone, as often as they are likely there."""
    engine, prompt, temperature, top_p = _engine(), [5, 6, 7], 0.7, 0.5
    with torch.no_grad():
        logits = random_model("llama")(torch.tensor([prompt])).logits[0, -1].double()
    probabilities = (logits / temperature).softmax(dim=-1)
    nucleus = nucleus_by_hand(probabilities.tolist(), top_p)
    written = engine.generate([prompt], max_new_tokens=1, n=1500, temperature=temperature, top_p=top_p)[0]
    counts = Counter(written)
    by_text: Counter[str] = Counter()
    for token in nucleus:
        text = engine.tokenizer.decode([token], skip_special_tokens=True)
        by_text[text] += float(probabilities[token] / probabilities[list(nucleus)].sum())  # type: ignore[assignment] # a count of probability
    assert set(counts) <= set(by_text)
    for text, share in by_text.items():
        assert counts[text] / 1500 == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / 1500))


def test_a_nucleus_of_everything_leaves_no_token_out() -> None:
    """`top_p=1` gives the texts of a call without it; smaller ones take other tokens for some."""
    settings = {"max_new_tokens": 12, "n": 3, "temperature": 1.5, "seed": 1}
    prompts = [[5, 6, 7], [8, 9]]
    whole = _engine().generate(prompts, **settings)  # type: ignore[arg-type] # numbers of both kinds
    narrower = [_engine().generate(prompts, top_p=top_p, **settings) for top_p in (1.0, 0.5, 1e-6)]  # type: ignore[arg-type] # as above
    assert narrower[0] == whole
    assert all(one != other for one, other in pairwise(narrower))
    assert narrower[2] == _engine().generate(prompts, max_new_tokens=12, n=3)


@pytest.mark.parametrize("top_p", [0.0, -0.1, 1.1])
def test_a_nucleus_has_a_probability(top_p: float) -> None:
    """Anything but a probability above 0 is refused, and named."""
    with pytest.raises(ScorerError, match=f"top_p={top_p}"):
        _engine().generate([[5]], max_new_tokens=1, top_p=top_p)


def _engine() -> TransformersEngine:
    return TransformersEngine(random_model("llama"), tokenizer=byte_tokenizer(), device="cpu")
