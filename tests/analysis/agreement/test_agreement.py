"""Agreement: known values, what must not change it, and what is left out."""

from __future__ import annotations

import warnings
from itertools import combinations_with_replacement, permutations
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tokimp.analysis.agreement.agreement import Agreement
from tokimp.analysis.agreement.pairs import MEASURES
from tokimp.analysis.run import analyze
from tokimp.analysis.statistics.chance_overlap import chance_overlap_shares
from tokimp.analysis.statistics.rank_measures import (
    mean_ranks,
    overlap_shares,
    pearson,
    position_residuals,
    rank_biased_overlap,
)
from tokimp.contracts.analysis import AnalysisInput
from tokimp.contracts.estimator import Importance
from tokimp.errors import AnalysisError
from tokimp.results.by_chain import select
from tokimp.results.joining import concat
from tokimp.testing.toy_result import toy_result
from tokimp.testing.toy_scorer import toy_chain

Scores = list[float]


def node_of(result: xr.DataTree, **options: Any) -> xr.Dataset:
    """Return the agreement of a result, quickly."""
    return Agreement(**options).compute(AnalysisInput(result))


def one_pair(a: Scores, b: Scores, **options: Any) -> dict[str, float]:
    """Return the measures of two estimators' agreement on one chain."""
    node = node_of(toy_result({"a": [a], "b": [b]}), **options)
    values = node["value"].sel(partial=False, estimator="a", other="b").isel(chain=0)
    return dict(zip(MEASURES, values.to_numpy().tolist(), strict=True))


def test_two_rankings_by_hand() -> None:
    """Of two rankings of five units that differ in one neighbouring swap, every measure has its hand-computed value."""
    found = one_pair([1, 2, 3, 4, 5], [1, 2, 3, 5, 4], top_k=1, rbo_p=0.5)
    assert found["spearman"] == pytest.approx(1 - 6 * 2 / (5 * 24))
    assert found["kendall"] == pytest.approx((9 - 1) / 10)
    assert found["top_k_overlap"] == 0
    # A_d from the top: 0, 1, 1, 1, 1.
    assert found["rbo"] == pytest.approx(1 / 32 + 1 * (1 / 4 + 1 / 8 + 1 / 16 + 1 / 32))


def test_opposite_rankings_by_hand() -> None:
    """Of a ranking and its reverse, the correlations are -1 and the top of one is the bottom of the other."""
    found = one_pair([1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1], top_k=4, rbo_p=0.9)
    assert found["spearman"] == pytest.approx(-1)
    assert found["kendall"] == pytest.approx(-1)
    assert found["top_k_overlap"] == pytest.approx(2 / 4)


def test_ties_by_hand() -> None:
    """Tau-b corrects for ties, and a tie across the k-th place counts by the probability of either unit being in."""
    found = one_pair([0, 0, 1, 2, 3], [0, 1, 2, 3, 3], top_k=1)
    # 8 pairs concordant, none discordant, one tied in each.
    assert found["kendall"] == pytest.approx(8 / np.sqrt(9 * 9))
    assert found["top_k_overlap"] == pytest.approx(1 / 2)


@settings(max_examples=40, deadline=None)
@given(st.integers(4, 40), st.integers(1, 12), st.integers(0, 10_000))
def test_all_pairs_at_once_are_the_pairs_one_by_one(n_units: int, levels: int, seed: int) -> None:
    """Every measure of every pair, as it is and given position, is that of the two rankings alone, ties included."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, levels, size=(4, n_units)).astype(float)
    names = ["a", "b", "c", "d"]
    result = toy_result({name: [row.tolist()] for name, row in zip(names, rows, strict=True)})
    found = node_of(result, top_k=3, minimum_units=1)["value"].isel(chain=0)
    for partial, ranked_by in ((False, mean_ranks), (True, position_residuals)):
        for one, other in combinations_with_replacement(range(4), 2):
            a, b = ranked_by(rows[one]), ranked_by(rows[other])
            expected = [np.nan] * 4
            if np.ptp(a) > 0 and np.ptp(b) > 0:
                shares = overlap_shares(a, b)
                top = shares[2] if n_units > 3 else np.nan
                expected = [pearson(a, b), stats.kendalltau(a, b).statistic, top, rank_biased_overlap(shares, 0.9)]
            for pair in ({"estimator": one, "other": other}, {"estimator": other, "other": one}):
                values = found.sel(partial=partial).isel(pair).to_numpy()
                np.testing.assert_allclose(values, expected, atol=1e-11)


def test_spearman_is_scipys() -> None:
    """The correlation of mean ranks is scipy's Spearman correlation, ties included."""
    rng = np.random.default_rng(7)
    a, b = rng.integers(0, 6, size=(2, 25)).astype(float)
    assert one_pair(a.tolist(), b.tolist())["spearman"] == pytest.approx(stats.spearmanr(a, b).statistic)


def test_partial_spearman_is_the_textbook_formula() -> None:
    """With position partialled out, Spearman is (r_ab - r_ap r_bp) / sqrt((1 - r_ap^2)(1 - r_bp^2))."""
    rng = np.random.default_rng(0)
    position = np.arange(30.0)
    a, b = position + 10 * rng.normal(size=30), position + 10 * rng.normal(size=30)
    node = node_of(toy_result({"a": [a], "b": [b], "position": [position]}))
    raw = node["value"].sel(measure="spearman", partial=False).isel(chain=0)
    ab, ap, bp = (float(raw.sel(estimator=x, other=y)) for x, y in ("ab", ("a", "position"), ("b", "position")))
    partial = node["value"].sel(measure="spearman", partial=True, estimator="a", other="b").isel(chain=0)
    assert float(partial) == pytest.approx((ab - ap * bp) / np.sqrt((1 - ap**2) * (1 - bp**2)))
    assert ab > float(partial)


def test_position_has_nothing_left_once_it_is_partialled_out() -> None:
    """What follows position, forwards or backwards, is undefined with position partialled out, and counted as such."""
    ramp = np.arange(8.0)
    node = node_of(toy_result({"a": [ramp % 3], "position": [ramp], "reverse": [-(ramp**3)]}))
    values = node["value"].sel(partial=True)
    for name in ("position", "reverse"):
        assert np.isnan(values.sel(estimator=name)).all()
        assert (node["chains_undefined"].sel(partial=True, estimator=name) == 1).all()
    assert not np.isnan(values.sel(estimator="a", other="a")).any()


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 10**6))
def test_what_agreement_does_not_depend_on(seed: int) -> None:
    """Order and names of chains, order of estimators and monotone transforms of scores leave the summary as it is."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(5, 12, size=4)
    scores = {name: [rng.integers(0, 6, size=n).astype(float) for n in lengths] for name in "abc"}
    result = toy_result(scores)
    node = node_of(result)

    def same(other: xr.Dataset) -> bool:
        names = ["mean", "low", "high", "chains_used", "chains_short", "chains_absent", "chains_undefined"]
        aligned = other.sel(estimator=node["estimator"], other=node["other"])
        return all(np.allclose(aligned[name], node[name], rtol=0, atol=1e-12, equal_nan=True) for name in names)

    assert same(node_of(select(result, ["chain-2", "chain-0", "chain-3", "chain-1"])))
    assert same(node_of(toy_result({name: scores[name] for name in "cab"})))
    chains = [toy_chain("y" * n, id=f"other {i}") for i, n in enumerate(lengths)]
    assert same(node_of(toy_result(scores, chains)))
    assert same(node_of(toy_result({**scores, "a": [np.exp(row) - 7 for row in scores["a"]]})))


def test_agreement_is_symmetric_and_an_estimator_agrees_with_itself() -> None:
    """Every measure is the same both ways, and 1 between an estimator without ties and itself."""
    rng = np.random.default_rng(4)
    node = node_of(toy_result({name: [rng.permutation(9).astype(float) for _ in range(3)] for name in "ab"}))
    value = node["value"].to_numpy()
    assert np.array_equal(value, value.swapaxes(2, 3))
    assert np.allclose(value[:, 0, 0, 0], 1)


def test_units_count_once_however_many_tokens_they_have() -> None:
    """Words of different lengths agree as single letters with the same scores do."""
    words = toy_chain("a bbbbbbbb cc ddd eeee f", unit="word")
    scores = {"a": [[1.0, 5.0, 2.0, 4.0, 3.0, 0.0]], "b": [[0.0, 1.0, 5.0, 2.0, 3.0, 4.0]]}
    of_words, of_letters = node_of(toy_result(scores, [words])), node_of(toy_result(scores))
    assert np.array_equal(of_words["value"], of_letters["value"], equal_nan=True)


def test_chains_left_out_are_counted_with_the_reason() -> None:
    """Too few units, constant importance and an estimator's silence leave a chain out of a pair, each counted apart."""
    good, flat, short = [1.0, 3.0, 2.0, 5.0, 4.0], [1.0] * 5, [1.0, 2.0]
    both = toy_result({"a": [good, flat, short], "b": [good, good, short]})
    silent = toy_result({"a": [good]}, [toy_chain("xxxxx", id="silent")])
    node = node_of(concat([both, silent])).sel(measure="rbo", partial=False, estimator="a", other="b")
    counts = {name: int(node[f"chains_{name}"]) for name in ("used", "short", "absent", "undefined")}
    assert counts == {"used": 1, "short": 1, "absent": 1, "undefined": 1}
    assert float(node["mean"]) == 1
    assert np.isnan([float(node["low"]), float(node["high"])]).all()
    assert np.isnan(node["value"].to_numpy()).tolist() == [False, True, True, True]


def test_nothing_to_rank_makes_no_noise() -> None:
    """A single unit, a single chain or only constant importances: NaN and counts, and no warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        single = node_of(toy_result({"a": [[1.0]], "b": [[2.0]]}))
        flat = node_of(toy_result({"a": [[1.0] * 6], "b": [[1.0] * 6]}))
    for node, reason in ((single, "chains_short"), (flat, "chains_undefined")):
        assert np.isnan(node["mean"]).all()
        assert (node[reason] == 1).all()
        assert (node["chains_used"] == 0).all()
    assert np.isnan(single["chance_mean"]).all()


def test_one_estimator_has_only_itself() -> None:
    """A result of one estimator has an agreement, with itself."""
    node = node_of(toy_result({"a": [[1.0, 2.0, 5.0, 4.0, 3.0]]}))
    assert node.sizes["estimator"] == node.sizes["other"] == 1


def test_greedy_stopped_early_does_not_agree_with_position_for_its_ties() -> None:
    """Units that greedy pruning left are tied: their place says nothing about the top they share with position."""
    order = np.array([-1, -1, 0, -1, 1, -1, -1, 2, 3, -1])
    stopped = Importance(np.where(order < 0, 4.0, order), order)
    node = node_of(toy_result({"greedy": [stopped], "position": [np.arange(10.0)]}), top_k=2)
    overlap = node["value"].sel(measure="top_k_overlap", partial=False, estimator="greedy", other="position")
    # Of position's two, units 8 and 9, only 9 is among the six kept, and in greedy's two with probability 2 / 6.
    assert overlap.to_numpy().tolist() == pytest.approx([1 / 2 * 2 / 6])


def test_chance_is_what_random_rankings_have() -> None:
    """The chance levels are the means over many random rankings."""
    rng = np.random.default_rng(5)
    result = toy_result(
        {
            "a": [rng.permutation(np.arange(10.0)) for _ in range(250)],
            "b": [rng.permutation(np.arange(10.0)) for _ in range(250)],
        }
    )
    node = node_of(result, top_k=0.3)
    mean = node["mean"].sel(estimator="a", other="b")
    assert np.abs(mean - node["chance_mean"]).max() < 0.06
    as_it_is = node.sel(partial=False)
    assert float(as_it_is["chance"].sel(measure="top_k_overlap").isel(chain=0)) == pytest.approx(0.3)
    assert float(as_it_is["chance_mean"].sel(measure="rbo")) == pytest.approx(
        rank_biased_overlap(chance_overlap_shares(10), 0.9)
    )


def test_chance_given_position_is_counted_over_all_pairs_of_rankings() -> None:
    """Of five units the residuals of two random rankings share their first in 22 % of all pairs, not in 20 %."""
    node = node_of(toy_result({"a": [[1, 3, 2, 5, 4]], "b": [[5, 1, 2, 3, 4]]}), top_k=1)
    rows = [position_residuals(np.array(order, dtype=float)) for order in permutations(range(5))]
    firsts = [np.isclose(row, row.max()) / np.isclose(row, row.max()).sum() for row in rows if np.ptp(row) > 0]
    shared = np.mean([one @ other for one in firsts for other in firsts])
    chance = node["chance_mean"].sel(measure="top_k_overlap")
    assert float(chance.sel(partial=True)) == pytest.approx(shared) == pytest.approx(0.219, abs=1e-3)
    assert float(chance.sel(partial=False)) == pytest.approx(0.2)


def test_three_units_have_no_correlation_beyond_position() -> None:
    """Any two rankings of three units would have partial correlation 1 or -1, so there is none."""
    found = node_of(toy_result({"a": [[1, 3, 2]], "b": [[2, 1, 3]]}), minimum_units=3)
    assert np.isfinite(found["value"].sel(measure="spearman", partial=False)).all()
    assert np.isnan(found["value"].sel(partial=True)).all()
    assert np.isnan(found["chance"].sel(partial=True)).all()


def test_a_top_of_all_units_is_undefined() -> None:
    """A number k that covers a whole chain says nothing there."""
    found = one_pair([1, 2, 3, 4, 5], [5, 4, 3, 2, 1], top_k=5)
    assert np.isnan(found["top_k_overlap"])
    assert found["spearman"] == pytest.approx(-1)


@pytest.mark.parametrize(
    "option",
    [
        {"top_k": 0},
        {"top_k": 1.0},
        {"rbo_p": 1.0},
        {"confidence": 0},
        {"minimum_units": 1},
    ],
)
def test_options_out_of_range_are_errors(option: dict[str, Any]) -> None:
    """A parameter that is not allowed is named, with what is."""
    with pytest.raises(AnalysisError, match=next(iter(option))):
        analyze(toy_result({"a": [[1.0, 2.0]]}), "agreement", **option)
