"""The three things everyone does: a table, the top units, the pruned text."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from tokimp.chains.chain import Chain
from tokimp.contracts.estimator import Importance, Trajectory
from tokimp.contracts.tokenization import tokenize_chain
from tokimp.errors import EstimatorError, SchemaError
from tokimp.results.joining import concat
from tokimp.results.views import chain_table, kept_positions, pruned_text, top_units
from tokimp.testing.random_models import byte_tokenizer
from tokimp.testing.toy_result import toy_result
from tokimp.testing.toy_scorer import toy_chain


def words() -> xr.DataTree:
    """Return a result of two chains of words."""
    chains = [toy_chain("so 1 + 2 = 3.", unit="word", id="sum"), toy_chain("x", id="other")]
    return toy_result({"a": [[0, 4, 1, 5, 2, 5], [1]], "b": [[5, 4, 3, 2, 1, 0], [1]]}, chains)


def test_a_chain_as_a_table() -> None:
    """One row a token, with text, place, log-probability, and each estimator's importance and rank."""
    table = chain_table(words(), "sum")
    assert len(table) == 13
    assert "".join(table["token_text"]) == "so 1 + 2 = 3."
    assert table["position"].tolist() == list(range(13))
    assert table["unit"].tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 5]
    assert table["importance_a"].tolist()[:4] == [0, 0, 4, 4]
    assert table["rank_b"].tolist()[-1] == 0
    assert table["logprob"].tolist() == [-1] * 13


def test_top_units_come_most_important_first() -> None:
    """Units are listed by falling rank with text and place; of ties the rightmost is on top."""
    top = top_units(words(), "sum", "a", 3)
    assert top["text"].tolist() == [" 3.", " 2", " 1"]
    assert top["rank"].tolist() == [5, 4, 3]
    assert top["importance"].tolist() == [5, 5, 4]
    assert top[["start", "end"]].to_numpy().tolist() == [[10, 13], [6, 8], [2, 4]]
    assert len(top_units(words(), "sum", "a", 99)) == 6


@pytest.mark.parametrize(
    ("ratio", "text"),
    [(1, "so 1 + 2 = 3."), (0.99, " 1 + 2 = 3."), (0.5, " 1 2 3."), (0.34, " 2 3."), (0.33, " 3."), (0, "")],
)
def test_text_at_a_keep_ratio(ratio: float, text: str) -> None:
    """``int(n * ratio)`` units of highest rank are kept, in their order."""
    assert pruned_text(words(), "sum", "a", ratio) == text
    kept = kept_positions(words(), "sum", "a", ratio)
    assert "".join("so 1 + 2 = 3."[position] for position in kept) == text


@settings(max_examples=50, deadline=None)
@given(st.text(st.sampled_from("ab é漢\U0001f600\n"), min_size=1, max_size=8).filter(str.strip), st.data())
def test_characters_split_over_tokens_stay_whole(reasoning: str, data: st.DataObject) -> None:
    """Of a text whose characters are several byte tokens, exactly those with all their bytes kept are there."""
    chain = tokenize_chain(Chain("c", "?", reasoning, "!"), byte_tokenizer())
    n = len(chain.reasoning_ids)
    assert n == len(reasoning.encode())
    result = toy_result({"a": [[float(x) for x in data.draw(st.permutations(range(n)))]]}, [chain])
    ratio = data.draw(st.floats(0, 1))
    kept = set(kept_positions(result, "c", "a", ratio).tolist())
    assert len(kept) == int(n * ratio)
    expected, byte = "", 0
    for character in reasoning:
        size = len(character.encode())
        expected += character if set(range(byte, byte + size)) <= kept else ""
        byte += size
    assert pruned_text(result, "c", "a", ratio) == expected


def test_characters_no_token_covers_go_with_the_next_token() -> None:
    """A gap between tokens goes with the token behind it, one at the end with the last token."""
    dataset = toy_result({"a": [[0, 1, 2]]}, [toy_chain("xyz")]).to_dataset()
    dataset = dataset.assign(
        reasoning=("chain", np.array([" x  y zz "], dtype=object)),
        token_start=("token", [1, 4, 6]),
        token_end=("token", [2, 5, 7]),
        token_text=("token", np.array(["x", "y", "z"], dtype=object)),
    )
    tree = xr.DataTree(dataset)
    assert pruned_text(tree, "toy", "a", 1) == " x  y zz "
    assert pruned_text(tree, "toy", "a", 0.67) == "  y zz "
    assert pruned_text(tree, "toy", "a", 0.34) == " zz "
    assert pruned_text(tree, "toy", "a", 0) == ""


def test_units_that_were_never_ranked_are_not_pruned() -> None:
    """Where an estimator deleted in sequence and stopped, a lower keep ratio than it went to is an error."""
    order = np.array([1, -1, 0, -1])
    steps = np.zeros(2)
    stopped = Importance(np.array([1.0, 2.0, 0.0, 2.0]), order, Trajectory(steps, steps, steps))
    result = toy_result({"greedy": [stopped]}, [toy_chain("abcd")])
    assert pruned_text(result, "toy", "greedy", 0.5) == "bd"
    with pytest.raises(EstimatorError, match=r"deleted 2 of 4 units.*keep_ratio=0.25 needs 3 deletions"):
        pruned_text(result, "toy", "greedy", 0.25)


def test_an_estimator_is_found_by_its_plain_name() -> None:
    """``greedy`` stands for the only ``greedy:...``, in every view of one estimator."""
    result = toy_result({"greedy:keep_ratio=0.5": [[3, 1, 2]], "b": [[1, 2, 3]]}, [toy_chain("abc")])
    assert top_units(result, "toy", "greedy")["text"].tolist() == ["a", "c", "b"]
    assert kept_positions(result, "toy", "greedy", 0.34).tolist() == [0]
    assert pruned_text(result, "toy", "greedy", 0.67) == "ac"


def test_what_is_not_there_is_named() -> None:
    """Unknown chains, estimators and ratios are errors that list what there is."""
    result = words()
    with pytest.raises(SchemaError, match=r"no chain 'sun' in the result; there are 'sum', 'other'"):
        chain_table(result, "sun")
    with pytest.raises(EstimatorError, match=r"no estimator 'c' in the result; there are a, b"):
        top_units(result, "sum", "c")
    with pytest.raises(EstimatorError, match="at least 1"):
        top_units(result, "sum", "a", 0)
    for ratio in (-0.1, 1.1, float("nan"), "half"):
        with pytest.raises(EstimatorError, match="give a number from 0 to 1"):
            kept_positions(result, "sum", "a", ratio)  # type: ignore[arg-type] # a text on purpose
    joined = concat([result, toy_result({"a": [[1.0]]}, [toy_chain("y", unit="word", id="third")])])
    with pytest.raises(EstimatorError, match="'b' says nothing about chain 'third'"):
        pruned_text(joined, "third", "b", 0.5)
