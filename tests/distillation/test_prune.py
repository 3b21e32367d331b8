"""Chains cut to keep ratios, and what tokenising their text anew does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tokimp as ti
from tokimp.chains.chain import Chain
from tokimp.distillation.prune import ready_estimator, retokenization, write_pruned
from tokimp.errors import ChainError
from tokimp.testing.random_models import byte_tokenizer
from tokimp.testing.toy_result import toy_result
from tokimp.testing.toy_scorer import toy_chain

TINY = ti.load_scorer("tiny")


@given(st.text(min_size=1, max_size=20).filter(str.strip))
def test_bytes_tokenised_anew_are_the_same(text: str) -> None:
    """With a token a byte nothing can be joined: all texts give their own ids back."""
    tokenizer = byte_tokenizer()
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    found = retokenization([{"id": "a", "reasoning": text, "kept_token_ids": ids}], tokenizer)
    assert (found.chains, found.tokens, found.length) == (0, 0, 1)


def test_tokens_that_are_joined_are_counted() -> None:
    """Of two chains one has two tokens in the place of which the tokenizer has one: half the chains differ."""
    tokenizer = TINY.tokenizer
    whole = tokenizer("She has", add_special_tokens=False)["input_ids"]
    parts = [tokenizer(part, add_special_tokens=False)["input_ids"] for part in ("She", " ha", "s")]
    split = [token for part in parts for token in part]
    assert split != whole
    records = [
        {"id": "same", "reasoning": "She has", "kept_token_ids": whole},
        {"id": "other", "reasoning": "She has", "kept_token_ids": split},
    ]
    found = retokenization(records, tokenizer)
    assert found.chains == 0.5
    lost = len(split) - sum(token in whole for token in split)
    assert found.tokens == pytest.approx(lost / (len(whole) + len(split)))
    assert found.length == pytest.approx(2 * len(whole) / (len(whole) + len(split)))


def test_what_is_written_says_how_much_was_kept(tmp_path: Path) -> None:
    """The kept share is the mean over chains of whole numbers of tokens, and the file holds these chains."""
    chains = ti.demo_chains(limit=3)
    result = ti.compare(chains, TINY, ["position"])
    pruning = write_pruned(result, "position", 0.7, tmp_path / "short.jsonl", tokenizer=TINY.tokenizer)
    lengths = [len(ti.tokenize_chain(chain, TINY.tokenizer).reasoning_ids) for chain in chains]
    assert pruning.kept_share == pytest.approx(sum(int(n * 0.7) / n for n in lengths) / 3)
    assert pruning.retokenization is not None
    assert [chain.id for chain in ti.load_chains(tmp_path / "short.jsonl")] == [chain.id for chain in chains]


@pytest.mark.parametrize("unit", ["token", "word"])
def test_shares_are_of_units_and_of_tokens(tmp_path: Path, unit: str) -> None:
    """Of n words int(0.7 n) stay, which is another share of the tokens; tokens as units have one share."""
    chains = ti.demo_chains(limit=3)
    pruning = write_pruned(
        ti.compare(chains, TINY, ["uniform"], unit=unit),
        "uniform",
        0.7,
        tmp_path / "short.jsonl",
    )
    units = [len(ti.tokenize_chain(chain, TINY.tokenizer, "auto", unit).units) for chain in chains]
    assert pruning.unit == unit
    assert pruning.kept_units == pytest.approx(sum(int(n * 0.7) / n for n in units) / 3)
    assert (pruning.kept_units == pytest.approx(pruning.kept_share)) == (unit == "token")


def test_chains_of_which_nothing_is_left_are_an_error_or_counted(tmp_path: Path) -> None:
    """A chain of one token has nothing left at any ratio below 1."""
    chains = [*ti.demo_chains(limit=1), Chain("short", "Q?", "7", "#### 7")]
    result = ti.compare(chains, TINY, ["position"])
    with pytest.raises(ChainError, match="'short'"):
        write_pruned(result, "position", 0.5, tmp_path / "a.jsonl")
    assert not (tmp_path / "a.jsonl").exists()
    pruning = write_pruned(result, "position", 0.5, tmp_path / "a.jsonl", skip_empty=True)
    assert pruning.chains == 1
    assert "'short'" in pruning.left_out[0]


def test_a_ranking_reaches_the_lowest_ratio_unless_told_otherwise() -> None:
    """Greedy stops at the lowest of the ratios; a ratio that was given stays; other methods have none."""
    assert ready_estimator("greedy", [0.9, 0.5]).label == "greedy:keep_ratio=0.5"
    assert ready_estimator("greedy:strategy=exact", [0.9]).parameters()["keep_ratio"] == 0.9
    assert ready_estimator("greedy:keep_ratio=0.2", [0.9, 0.5]).parameters()["keep_ratio"] == 0.2
    assert ready_estimator("position", [0.5]).label == "position"
    assert ready_estimator("llmlingua:model=x", [0.9, 0.5]).parameters()["keep_ratio"] is None
    assert ready_estimator("llmlingua:model=x", [0.5]).parameters()["keep_ratio"] == 0.5
    # In a plan, to which ratios may be added, one ratio is cut from a ranking as several are.
    assert ready_estimator("llmlingua:model=x", [0.5], searches=False).parameters()["keep_ratio"] is None
    assert ready_estimator("greedy", [0.9, 0.5], searches=False).label == "greedy:keep_ratio=0.5"


def test_what_is_written_names_the_estimator_by_its_label(tmp_path: Path) -> None:
    """A plain name finds the estimator; the records and their numbers say with which parameters it ran."""
    result = toy_result({"greedy:keep_ratio=0.5": [[1.0, 2.0]], "b": [[2.0, 1.0]]}, [toy_chain("xy")])
    pruning = write_pruned(result, "greedy", 0.5, tmp_path / "short.jsonl")
    (record,) = [json.loads(line) for line in (tmp_path / "short.jsonl").read_text("utf-8").splitlines()]
    assert (record["reasoning"], record["estimator"]) == ("y", "greedy:keep_ratio=0.5")
    assert pruning.estimator == record["estimator"]
