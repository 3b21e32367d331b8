"""Which categories stay: against hand-worked cases, and against deletion at random."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import tokimp as ti
from tokimp.analysis.structure.structure import kept_probability
from tokimp.chains.chain import CategorySpan, TokenizedChain
from tokimp.errors import AnalysisError, PluginError, SchemaError
from tokimp.results.analysis_nodes import analysis_node, node_name
from tokimp.testing.toy_result import toy_result
from tokimp.testing.toy_scorer import AdditiveScorer, toy_chain


def labelled(text: str, labels: str, name: str = "c") -> TokenizedChain:
    """Return a chain whose every character has the label of one letter; a space stands for none."""
    chain = toy_chain(text, id=name)
    spans = tuple(CategorySpan(i, i + 1, label) for i, label in enumerate(labels) if label != " ")
    return replace(chain, chain=replace(chain.chain, category=spans))


def structure(result: xr.DataTree, **parameters: Any) -> xr.Dataset:
    """Return the node of the analysis."""
    return analysis_node(ti.analyze(result, "structure", **parameters), "structure")


def test_shares_are_those_counted_by_hand() -> None:
    """Of two chains, half of whose tokens stay, each category's tokens are counted over both."""
    chains = [labelled("abcd", "mmg ", "one"), labelled("efgh", "mggg", "two")]
    node = structure(toy_result({"a": [[4, 3, 2, 1], [1, 2, 3, 4]]}, chains), keep_ratios=[0.5])
    share = node["share"].sel(estimator="a", keep_ratio=0.5)
    # Kept: "ab" of the first, "gh" of the second.
    assert share.sel(category="m").item() == pytest.approx(2 / 3)
    assert share.sel(category="g").item() == pytest.approx(2 / 4)
    assert share.sel(category="(none)").item() == 0
    assert node["uniform"].sel(keep_ratio=0.5).to_numpy() == pytest.approx([0.5] * 3)
    rank = node["mean_rank"].sel(estimator="a")
    assert rank.sel(category="m").item() == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert node["tokens"].to_numpy().tolist() == [4, 3, 1]


def test_what_position_explains_is_no_excess() -> None:
    """An estimator that follows position keeps a category for its place alone: with fine bands nothing is left over."""
    chains = [labelled("abcdefgh", "ggmgmmgm")]
    node = structure(toy_result({"late": [list(range(8))]}, chains), keep_ratios=[0.5], bands=2)
    assert node["share"].sel(estimator="late", category="m").item() == 3 / 4
    assert node["excess"].sel(estimator="late", category="m").item() == pytest.approx(0)


@pytest.mark.parametrize("labels", ["mgmgm", "mg", "ggggggmmmmmm"])
def test_where_position_cannot_be_told_from_category_the_excess_is_not_known(labels: str) -> None:
    """Chains of a unit a stretch, and stretches of one category, have no excess, whatever is kept; a foot says so."""
    n = len(labels)
    chains = [labelled("abcdefghijkl"[:n], labels, f"{index}") for index in range(5)]
    scores = [np.random.default_rng(index).permutation(n).tolist() for index in range(5)]
    analysis = ti.load_analysis("structure", bands=2 if n == 12 else 5)
    tree = ti.analyze(toy_result({"a": scores}, chains), analysis)
    node = analysis_node(tree, "structure")
    assert node["excess"].isnull().all()
    assert node["share"].notnull().all()
    assert not node["excess_tokens"].any()
    assert "not known, as no stretch has units that differ in the category" in str(analysis.tables(tree)[0].caption)


def test_the_excess_is_counted_over_all_ways_to_keep_as_many_in_each_stretch() -> None:
    """It is the tokens kept less the mean over all such choices, by the tokens in stretches that hold both kinds."""
    labels, scores = "mmmmgmgmgggmm", [3, 9, 1, 12, 7, 11, 2, 8, 10, 0, 6, 5, 4]
    node = structure(toy_result({"a": [scores]}, [labelled("abcdefghijklm", labels)]), keep_ratios=[0.4], bands=3)
    band = [place * 3 // 13 for place in range(13)]
    stays = sorted(range(13), key=scores.__getitem__)[-5:]
    difference, tokens = 0.0, 0
    for number in range(3):
        inside = [place for place in range(13) if band[place] == number]
        kept = [place for place in inside if place in stays]
        marks = [sum(labels[place] == "m" for place in choice) for choice in combinations(inside, len(kept))]
        difference += sum(labels[place] == "m" for place in kept) - sum(marks) / len(marks)
        of_category = sum(labels[place] == "m" for place in inside)
        tokens += of_category if of_category < len(inside) else 0
    assert node["excess"].sel(category="m").item() == pytest.approx(difference / tokens)
    assert node["excess_tokens"].sel(category="m").item() == tokens
    assert abs(difference) > 0.1


def test_an_estimator_that_says_nothing_counts_nothing() -> None:
    """Its shares are NaN; on the chains that another covers, that one's numbers are as they were."""
    chains = [labelled("abcd", "mmgg", "one"), labelled("efgh", "mmgg", "two")]
    nothing = [float("nan")] * 4
    result = toy_result({"a": [[4, 3, 2, 1], [4, 3, 2, 1]]}, chains)
    silent = result.to_dataset()
    silent["importance"][0, 4:] = nothing
    silent["rank"][0, 4:] = -1
    node = structure(xr.DataTree(silent), keep_ratios=[0.5])
    assert node["share"].sel(estimator="a", category="m").item() == 1
    assert node["chains_used"].item() == 1


def stopped(keep_ratio: float, n_chains: int = 1) -> xr.DataTree:
    """Return a result of an estimator that stopped deleting at a keep ratio, beside one that ranked everything."""
    scorer = AdditiveScorer({letter: float(index) for index, letter in enumerate("abcdefgh")}, answer_base=-30.0)
    chains = [labelled("hbgdecfa", "mmm  ggg", f"{index}") for index in range(n_chains)]
    pruning = ti.load_estimator(f"greedy:keep_ratio={keep_ratio}")
    early = [pruning.estimate(chain, scorer, ti.load_objective("joint")) for chain in chains]
    return toy_result({"[early]": early, "whole": [list(range(8))] * n_chains}, chains, scorer)


def test_nothing_is_known_below_the_ratio_at_which_an_estimator_stopped() -> None:
    """Down to it the shares are those of the units that went; below it they are NaN, and nobody reached it."""
    node = structure(stopped(0.5), keep_ratios=[0.25, 0.5, 0.75, 1.0])
    early = node.sel(estimator="[early]", category="m")
    # Of "hbg", "b" is among the four that went, and the second of them.
    assert early["share"].to_numpy() == pytest.approx([np.nan, 2 / 3, 2 / 3, 1], nan_ok=True)
    # At ratio 1 nothing goes: there is nothing that position could explain or not.
    assert np.isnan(early["excess"].to_numpy()).tolist() == [True, False, False, True]
    assert early["mean_rank"].item() == pytest.approx((5.5 / 7 + 1 / 7 + 5.5 / 7) / 3)
    assert node["chains_reached"].sel(estimator="[early]").to_numpy().tolist() == [0, 1, 1, 1]
    assert node["share"].sel(estimator="whole").notnull().all()
    assert not node["uniform"].isnull().any()


def test_pruning_to_the_end_is_known_at_every_ratio() -> None:
    """The last unit needs no order: no share of it is missing."""
    node = structure(stopped(0.0), keep_ratios=[0.125, 0.5, 1.0])
    assert node["share"].notnull().all()
    assert (node["chains_reached"] == 1).all()


def test_the_table_says_who_stopped_and_what_has_no_category() -> None:
    """A dash with its reason; of the rest nothing is said."""
    analysis = ti.load_analysis("structure")
    early = ti.analyze(stopped(0.75, n_chains=5), analysis)
    (table,) = analysis.tables(early)
    assert r"a dash: \[early] did not delete down to that keep ratio" in str(table.caption)
    assert "(none): tokens that have no category, such as white space" in str(table.caption)
    assert list(table.columns[3].cells)[:2] == ["-", "-"]
    whole = toy_result({"a": [[1.0, 2.0]] * 5}, [labelled("ab", "mg", f"{index}") for index in range(5)])
    tree = ti.analyze(whole, analysis)
    assert "did not delete" not in str(analysis.tables(tree)[0].caption)
    assert "(none)" not in str(analysis.tables(tree)[0].caption)
    tree[f"analysis/{node_name(analysis)}"] = xr.DataTree(analysis_node(tree, "structure").drop_vars("chains_reached"))
    with pytest.raises(SchemaError, match=r"run tokimp\.analyze\(result, 'structure'\) on it again"):
        analysis.tables(tree)


def test_a_single_unit_and_constant_importances_are_defined() -> None:
    """One unit alone has no rank; of units that tie each stays with the same probability."""
    node = structure(toy_result({"a": [[1.0]]}, [labelled("x", "m")]), keep_ratios=[1.0])
    assert node["share"].item() == 1
    assert np.isnan(node["mean_rank"].item())
    assert np.isnan(node["share_low"].item())
    node = structure(toy_result({"a": [[1.0] * 4]}, [labelled("abcd", "mmgg")]), keep_ratios=[0.5])
    assert node["share"].to_numpy().ravel().tolist() == [0.5, 0.5]


def test_the_order_of_chains_does_not_matter() -> None:
    """Shares, bands and ranks are the same whichever chain comes first."""
    chains = [labelled("abcd", "mmgg", "one"), labelled("efghij", "gmmgmg", "two")]
    scores = [[4.0, 1, 2, 3], [1.0, 6, 2, 5, 3, 4]]
    first = structure(toy_result({"a": scores}, chains))
    second = structure(toy_result({"a": scores[::-1]}, chains[::-1]))
    for name in ("share", "excess", "uniform", "uniform_low", "uniform_high", "mean_rank"):
        np.testing.assert_allclose(first[name], second[name])


def test_categories_are_asked_for_where_there_are_none() -> None:
    """Without categories the error names the way out, and the categorizer named then labels the tokens."""
    result = toy_result({"a": [[1, 2, 3, 4, 5, 6, 7]]}, [toy_chain("he is 2")])
    with pytest.raises(AnalysisError, match="structure:categorizer=rules"):
        structure(result)
    node = structure(result, categorizer="rules")
    assert {"symbolic_math", "coreference", "grammar"} <= set(node["category"].to_numpy().tolist())
    with pytest.raises(PluginError, match="nobody"):
        structure(result, categorizer="nobody")


def test_a_category_called_as_those_without_one_is_refused() -> None:
    """It would be counted together with them."""
    chain = labelled("ab", "m ")
    chain = replace(chain, chain=replace(chain.chain, category=(CategorySpan(0, 1, "(none)"),)))
    with pytest.raises(AnalysisError, match="give it another name"):
        structure(toy_result({"a": [[1.0, 2.0]]}, [chain]))


@pytest.mark.parametrize("parameters", [{"keep_ratios": []}, {"keep_ratios": [0.0]}, {"bands": 0}, {"confidence": 1.0}])
def test_parameters_out_of_range_are_refused(parameters: dict[str, Any]) -> None:
    """The message names the parameter."""
    with pytest.raises(AnalysisError, match=next(iter(parameters))):
        structure(toy_result({"a": [[1.0, 2.0]]}, [labelled("ab", "mg")]), **parameters)


def test_table_and_figure_name_every_category_and_estimator() -> None:
    """Both can be made of any result that was analysed."""
    analysis = ti.load_analysis("structure")
    result = ti.analyze(toy_result({"a": [[1.0, 2.0]]}, [labelled("ab", "mg")]), analysis)
    (table,) = analysis.tables(result)
    assert [column.header for column in table.columns] == ["category", "tokens", "at random", "a"]
    figure = analysis.figure(result)
    assert figure is not None
    assert {label.get_text() for label in figure.axes[0].get_xticklabels()} == {"m", "g"}


@given(st.lists(st.integers(0, 3), min_size=1, max_size=6), st.data())
def test_kept_probabilities_add_up(scores: list[int], data: st.DataObject) -> None:
    """They add up to the number kept, and no unit is likelier to stay than a more important one."""
    count = data.draw(st.integers(0, len(scores)))
    stays = kept_probability(np.array(scores, dtype=float), count)
    assert stays.sum() == pytest.approx(count)
    assert all(stays[i] <= stays[j] for i in range(len(scores)) for j in range(len(scores)) if scores[i] < scores[j])
