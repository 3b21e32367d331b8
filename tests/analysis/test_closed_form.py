"""Analyses of estimators' own results on a scorer whose importances are known: every token adds its own share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import tokimp as ti
from tokimp.chains.chain import CategorySpan, TokenizedChain
from tokimp.contracts.objective import Answer, Joint, Objective
from tokimp.results.analysis_nodes import analysis_node
from tokimp.testing.toy_result import toy_result
from tokimp.testing.toy_scorer import AdditiveScorer, toy_chain

USELESS, SMALL, LARGE = "abcd", "efgh", "ijkl"
SHARES = {letter: 0.01 * index for index, letter in enumerate(USELESS)}
SHARES |= {letter: 1 + 0.1 * index for index, letter in enumerate(SMALL)}
SHARES |= {letter: 3 + 0.1 * index for index, letter in enumerate(LARGE)}
SCORER = AdditiveScorer(SHARES, answer_base=-20.0)  # the shares add up to 17.26: no log-likelihood is above 0
METHODS = ("leave_one_out", "greedy", "attention_knockout", "gradient")  # on this scorer each finds the shares


def chains() -> list[TokenizedChain]:
    """Return chains of all twelve letters in random orders, with their size as category and the useless as filler."""
    generator, made = np.random.default_rng(0), []
    for number in range(4):
        chain = toy_chain("".join(generator.permutation(list(SHARES))), id=f"c{number}")
        sizes = {"useless": USELESS, "small": SMALL, "large": LARGE}
        category = [
            CategorySpan(place, place + 1, next(name for name, held in sizes.items() if letter in held))
            for place, letter in enumerate(chain.chain.reasoning)
        ]
        filler = tuple((span.start, span.end) for span in category if span.label == "useless")
        made.append(replace(chain, chain=replace(chain.chain, category=tuple(category), filler=filler)))
    return made


def compared(objective: Objective) -> xr.DataTree:
    """Return what the methods say of the chains."""
    methods = {name: ti.load_estimator(name) for name in METHODS}
    found = {
        name: [method.estimate(chain, SCORER, objective) for chain in chains()] for name, method in methods.items()
    }
    return toy_result(found, chains(), SCORER, objective=objective.name)


def analysed(name: str, **parameters: Any) -> xr.Dataset:
    """Return the node of an analysis of the result for the answer."""
    result = compared(Answer())
    tree = ti.analyze(result, name, scorer=SCORER, chains=chains(), **parameters)
    return analysis_node(tree, name)


def test_methods_that_find_the_truth_agree() -> None:
    """Four ways to the same shares are one ranking, by every measure, with and without position."""
    mean = analysed("agreement")["mean"]
    np.testing.assert_allclose(mean.sel(measure=["spearman", "kendall", "top_k_overlap", "rbo"]), 1)


def test_they_agree_within_every_category_and_stretch() -> None:
    """No part of a chain is ranked otherwise than the whole."""
    for by in ("category", "position"):
        mean = analysed("agreement_within", by=by, bands=3, minimum_units=3)["mean"]
        np.testing.assert_allclose(mean.sel(partial=False), 1)


def test_a_share_is_the_same_for_either_objective(tmp_path: Path) -> None:
    """Where each token is as likely as any other, the joint likelihood ranks as the answer's does."""
    ti.save(compared(Joint()), tmp_path / "joint.nc")
    mean = analysed("agreement_between", other=str(tmp_path / "joint.nc"))["mean"]
    np.testing.assert_allclose(mean.sel(common=list(METHODS)), 1)


def test_what_adds_most_stays() -> None:
    """At a third of the units only the large shares are left, at two thirds none of the useless ones."""
    share = analysed("structure", keep_ratios=[0.34, 0.67])["share"]
    for ratio, left in ((0.34, {"large": 1, "small": 0, "useless": 0}), (0.67, {"large": 1, "small": 1, "useless": 0})):
        for category, expected in left.items():
            assert (share.sel(keep_ratio=ratio, category=category) == expected).all()


def test_what_adds_nothing_is_ranked_lowest() -> None:
    """Filler that adds next to nothing is told from the rest without fail, within stretches too."""
    node = analysed("planted", bands=2)
    assert (node["mean"].sel(level="unit") == 1).all()
    assert (node["within_bands"] == 1).all()


def test_a_ranking_stays_true_as_the_chain_is_pruned() -> None:
    """Shares do not depend on what is left, so a frozen ranking predicts as well as one made anew."""
    node = analysed("dynamics", context_ratios=[1.0, 0.5], next_units=[1, 3], draws=50)
    for predictor in ("local", "frozen", "leave_one_out"):
        np.testing.assert_allclose(node["overlap_mean"].sel(predictor=predictor), 1)
        np.testing.assert_allclose(node["correlation_mean"].sel(predictor=predictor), 1)
    assert (node["overlap_mean"].sel(predictor="random") < 0.8).all()


@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.75])
def test_the_curves_are_sums_of_the_shares(ratio: float) -> None:
    """What is kept of a chain is the base and the largest, or the smallest, shares."""
    shares = sorted(SHARES.values())
    node = analysed("faithfulness", keep_ratios=[0.0, ratio, 1.0], n_uniform=2)
    value = node["value"].sel(measure="answer", keep_ratio=ratio)
    kept = int(12 * ratio)
    np.testing.assert_allclose(value.sel(curve="least_first"), SCORER.answer_base + sum(shares[12 - kept :]), rtol=1e-6)
    np.testing.assert_allclose(value.sel(curve="most_first"), SCORER.answer_base + sum(shares[:kept]), rtol=1e-6)
