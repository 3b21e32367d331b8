"""Chains cut short."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokimp.bench.truncation import truncate
from tokimp.errors import ChainError
from tokimp.testing.toy_scorer import toy_chain


@given(st.integers(1, 11), st.sampled_from(["token", "word"]))
def test_the_first_tokens_stay(length: int, unit: str) -> None:
    """Ids, text and units are those of the first tokens; every token kept is in one unit."""
    whole = toy_chain("so 1 + 2 = 3", unit=unit)
    cut = truncate(whole, length)
    assert cut.reasoning_ids == whole.reasoning_ids[:length]
    assert cut.chain.reasoning == whole.chain.reasoning[:length]
    assert [position for part in cut.units for position in part] == [
        p for p in range(length) if p in sum(whole.units, ())
    ]
    assert (cut.prompt_ids, cut.answer_ids) == (whole.prompt_ids, whole.answer_ids)


@pytest.mark.parametrize("length", [0, 4])
def test_a_length_that_the_chain_does_not_have_is_refused(length: int) -> None:
    """The message says how many tokens there are."""
    with pytest.raises(ChainError, match="it has 3; give lengths from 1"):
        truncate(toy_chain("xyz"), length)


def test_planted_text_and_its_kinds_are_left_out() -> None:
    """Spans may lie behind the cut; a chain that says where they are and of what kind can be cut all the same."""
    whole = toy_chain("so 1 + 2 = 3")
    whole = replace(whole, chain=replace(whole.chain, filler=((0, 2), (5, 8)), filler_kinds=("filler", "distractor")))
    cut = truncate(whole, 4)
    assert (cut.chain.filler, cut.chain.filler_kinds) == (None, None)
