"""Planted text by kind: each kind against what is not planted, and by where it stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import xarray as xr

import tokimp as ti
from tokimp.analysis.planted.levels import sentences
from tokimp.analysis.planted.planted import Planted
from tokimp.chains.chain import TokenizedChain
from tokimp.results.analysis_nodes import analysis_node
from tokimp.results.by_chain import one_chain
from tokimp.testing.toy_result import toy_result
from tokimp.testing.toy_scorer import toy_chain


def chain_with(text: str, name: str, **spans: tuple[int, int]) -> TokenizedChain:
    """Return a chain with one span of filler for each kind."""
    chain = toy_chain(text, id=name)
    filler, kinds = tuple(spans.values()), tuple(spans)
    return replace(chain, chain=replace(chain.chain, filler=filler, filler_kinds=kinds))


def analysed(scores: Sequence[Sequence[float]], chains: list[TokenizedChain]) -> xr.Dataset:
    """Return the node of the analysis for one estimator."""
    marks = [mark for chain in chains for at in range(len(chain.units)) for mark in [_kind_at(chain, at)]]
    result = toy_result({"a": scores}, chains)
    assert result["filler_kind"].to_numpy().tolist() == marks
    return analysis_node(ti.analyze(result, "planted:bands=2"), "planted")


def _kind_at(chain: TokenizedChain, place: int) -> str:
    spans = zip(chain.chain.filler or (), chain.chain.filler_kinds or (), strict=True)
    return next((kind for (start, end), kind in spans if start <= place < end), "")


def test_each_kind_is_compared_with_what_is_not_planted() -> None:
    """Units of another kind are left out: one kind ranked below the rest and one above it are told apart."""
    chain = chain_with("abcdefgh", "one", step=(0, 2), word=(6, 8))
    node = analysed([[0, 1, 4, 5, 6, 7, 8, 9]], [chain])
    auroc = node["kind_mean"].sel(measure="auroc", level="unit", estimator="a")
    assert auroc.sel(kind="step").item() == 1
    assert auroc.sel(kind="word").item() == 0
    assert node["kind_value"].sel(level="unit", measure="average_precision", kind="step").item() == 1


def test_one_kind_alone_has_the_values_of_all_filler() -> None:
    """Where all planted text is of one kind, it is measured as the whole is."""
    chains = [chain_with("abcdef", "one", step=(1, 3)), chain_with("abcdef", "two", step=(4, 5))]
    node = analysed([[5, 1, 2, 0, 3, 4], [0, 3, 1, 2, 5, 4]], chains)
    np.testing.assert_array_equal(node["kind_value"].sel(kind="step"), node["value"])
    np.testing.assert_array_equal(node["kind_chance"].sel(kind="step"), node["chance"])


def test_chains_count_in_the_stretch_where_their_text_stands() -> None:
    """A chain whose planted text is in its second half tells nothing of the first, and one without it of neither."""
    chains = [chain_with("abcdef", "one", step=(0, 2)), chain_with("abcdef", "two", step=(4, 6))]
    chains.append(chain_with("abcdef", "three", word=(0, 1)))
    node = analysed([[0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5]], chains)
    assert node["kind_band"].sel(kind="step").to_numpy().tolist() == [0, 1, -1]
    means = node["kind_band_mean"].sel(measure="auroc", level="unit", kind="step", estimator="a")
    assert means.to_numpy().tolist() == [1, 0]
    assert node["kind_band_chains"].sel(kind="step").to_numpy().tolist() == [1, 1]
    assert node["kind_chains_used"].sel(measure="auroc", level="unit", kind="step", estimator="a").item() == 2


def test_filler_without_kinds_is_of_the_kind_filler() -> None:
    """Results of chains that do not tell kinds apart have one kind, and no table of kinds."""
    chain = toy_chain("abcd", id="one")
    chain = replace(chain, chain=replace(chain.chain, filler=((0, 1),)))
    result = ti.analyze(toy_result({"a": [[0, 1, 2, 3]]}, [chain]), "planted")
    assert "filler_kind" not in result
    assert analysis_node(result, "planted")["kind"].to_numpy().tolist() == ["filler"]
    assert len(Planted().tables(result)) == 1


def test_the_table_of_kinds_says_where_the_model_is_sure_of_the_answer() -> None:
    """The last line counts the chains with the kind on which the answer has more than half of the probability."""
    chains = [chain_with("abcdef", name, step=(0, 2), word=(3, 4)) for name in ("one", "two")]
    result = toy_result({"a": [[0, 1, 2, 3, 4, 5]] * 2}, chains)
    result.dataset = result.to_dataset().assign(full_loglik_answer_value=("chain", np.log([0.6, 0.4])))
    _, table = Planted().tables(ti.analyze(result, "planted"))
    assert [str(column.header) for column in table.columns[1:3]] == ["step, tokens", "step, sentences"]
    assert [list(column.cells)[-1] for column in table.columns[1:]] == ["1 of 2"] * 4


def test_a_sentence_that_begins_with_a_digit_is_not_part_of_the_one_before() -> None:
    """A tokenizer may give the space before a digit a token of its own, with which the unit then begins."""
    text = "So far. 9 of 6 is 54. End."
    chain = toy_chain(text, id="one", unit="sentence")
    result = toy_result({"a": [[0] * len(chain.units)]}, [chain])
    assert sentences(one_chain(result, "one")).tolist() == list(range(len(chain.units)))
    assert len(chain.units) == 3
