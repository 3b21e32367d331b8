"""CPR and CMD: by hand, against their definition on every version, and what is left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import xarray as xr

import tokimp as ti
from tests.analysis.against_chance.games import random_game, random_scores
from tokimp.analysis.cpr_cmd.cpr_cmd import CprCmd
from tokimp.analysis.cpr_cmd.recovery import Recovery
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import Joint
from tokimp.contracts.scorer import Scorer
from tokimp.results.analysis_nodes import analysis_node
from tokimp.testing import AdditiveScorer, check_analysis, toy_chain
from tokimp.testing.toy_result import toy_result
from tokimp.testing.toy_run import toy_run, toy_run_chains, toy_run_scorer

DELETE: dict[str, Any] = {"operators": ["delete"]}


def cpr_cmd(
    importances: Mapping[str, Sequence[Any]], chains: Sequence[TokenizedChain], scorer: Scorer, **options: Any
) -> xr.Dataset:
    """Return the analysis of toy chains."""
    result = toy_result(importances, chains, scorer, "answer")
    analyzed = ti.analyze(result, CprCmd(**{"replacement": ".", **options}), scorer=scorer, chains=chains)
    return analysis_node(analyzed, "cpr_cmd")


def test_a_curve_by_hand() -> None:
    """With .5, 1.2 and 1 recovered at the shares .2, .5 and 1, CPR is .805 and CMD .155."""
    recovery = Recovery(np.array([0.2, 0.5, 1.0]), empty=np.array([-3.0]), full=np.array([-1.0]))
    kept = np.array([[-2.0], [-0.6], [-1.0]])
    areas = recovery.areas(kept, np.ones((1, 1)))
    assert areas.ravel() == pytest.approx([0.805, 0.155])


@pytest.mark.parametrize("seed", range(3))
def test_the_areas_are_those_of_the_means_over_chains(seed: int) -> None:
    """Chains of random games: means of the measure first, then ratio, trapezoids and the mean over random orders."""
    n_units, shares = 6, [0.0, 0.25, 0.5, 1.0]
    scorer, chain = random_game(n_units, seed)
    # The whole chain is the likeliest, so that there is something to recover.
    scorer.table[-1] = 0.0
    chains = [toy_chain("".join(chain.chain.reasoning[i] for i in order), id=f"c{order}") for order in ORDERS]
    scores = [random_scores(n_units, seed + index) for index in range(len(chains))]
    node = cpr_cmd({"mine": scores}, chains, scorer, shares=shares)
    twin = {"cpr": 0.0, "cmd": 0.0}
    for area, ranked in (("cpr", scores), ("cmd", [np.abs(row) for row in scores])):
        means = []
        for share in shares:
            kept = [np.argsort(row)[::-1][: int(n_units * share)] for row in ranked]
            letters = [[order[unit] for unit in units] for order, units in zip(ORDERS, kept, strict=True)]
            means.append(np.mean([scorer.value(units) for units in letters]))
        curve = [(mean - scorer.value([])) / (scorer.value(range(n_units)) - scorer.value([])) for mean in means]
        height = curve if area == "cpr" else [abs(1 - value) for value in curve]
        steps = zip(shares[:-1], shares[1:], height[:-1], height[1:], strict=True)
        twin[area] = float(np.sum([(b - a) * (left + right) / 2 for a, b, left, right in steps]))
    for operator in ("delete", "mask"):
        found = node["mean"].sel(operator=operator, estimator="mine")
        assert {area: float(found.sel(area=area)) for area in twin} == pytest.approx(twin, abs=1e-12)


ORDERS = [(0, 1, 2, 3, 4, 5), (5, 3, 1, 0, 2, 4), (2, 0, 4, 5, 1, 3)]


def test_it_is_a_ratio_of_means() -> None:
    """A chain whose reasoning hardly matters weighs little: of gains 10 and .1, recovered wholly and not, 10 / 10.1."""
    scorer = AdditiveScorer({"a": 10.0, "b": 0.1})
    chains = [toy_chain("ax", id="large"), toy_chain("bx", id="small")]
    node = cpr_cmd({"mine": [[2.0, 1.0], [1.0, 2.0]]}, chains, scorer, shares=[0.5, 1.0], **DELETE)
    assert node["curve"].isel(share=0).sel(area="cpr").item() == pytest.approx(10 / 10.1)


def test_harmful_units_come_last_in_cpr_and_first_in_cmd() -> None:
    """CPR ranks by importance, so that less can do better than all; CMD by absolute importance, as all behaves."""
    scorer = AdditiveScorer({"a": 4.0, "b": -3.0, "c": 1.0})
    node = cpr_cmd({"mine": [[4.0, -3.0, 1.0]]}, [toy_chain("abc")], scorer, shares=[0.34, 0.67, 1.0], **DELETE)
    curve = node["curve"].sel(operator="delete", estimator="mine")
    assert curve.sel(area="cpr").to_numpy().tolist() == [2.0, 2.5, 1.0]
    assert curve.sel(area="cmd").to_numpy().tolist() == [2.0, 0.5, 1.0]


def test_the_right_order_recovers_more_than_chance() -> None:
    """On shares that are known, leave-one-out is told from random orders and position, and the sentence says so."""
    generator, letters = np.random.default_rng(1), "abcdefghij"
    scorer = AdditiveScorer({letter: 0.2 * place for place, letter in enumerate(letters)})
    chains = [toy_chain("".join(generator.permutation(list(letters))), id=f"c{number}") for number in range(8)]
    exact = [scorer.contribution(chain.reasoning_ids).numpy() for chain in chains]
    analysis = CprCmd(replacement=".")
    result = toy_result({"right": exact, "wrong": [-row for row in exact]}, chains, scorer, "answer")
    analyzed = ti.analyze(result, analysis, scorer=scorer, chains=chains)
    caption = str(analysis.tables(analyzed)[1].caption)
    assert (
        "by delete and mask, right is better than random orders; right is better than position too; wrong is "
        "worse than random orders" in caption
    )


def test_reasoning_that_does_not_help_has_nothing_to_recover() -> None:
    """Where the answer is likelier without the reasoning there is no ratio, and every chain is counted."""
    scorer = AdditiveScorer({"a": -1.0, "b": -2.0})
    node = cpr_cmd({"mine": [[1.0, 2.0]] * 2}, [toy_chain("ab", id=str(i)) for i in range(2)], scorer, **DELETE)
    assert np.isnan(node["mean"]).all()
    assert not node["chains_used"].any()
    assert (node["undefined"].sel(reason="the reasoning does not raise the mean of the measure enough") == 2).all()


def test_an_estimator_that_stopped_early_counts_where_it_did_not() -> None:
    """Chains that it did not rank to the end are counted, and its numbers are compared over the others alone."""
    scorer = AdditiveScorer({letter: 0.5 * (1 + place) for place, letter in enumerate("abcde")})
    stopped, chains = (
        ti.load_estimator("greedy:keep_ratio=0.7"),
        [toy_chain("ab", id="two"), toy_chain("cde", id="three")],
    )
    importances: dict[str, list[Any]] = {
        "stopped": [stopped.estimate(chain, scorer, Joint()) for chain in chains],
        "whole": [[1.0, 2.0], [1.0, 2.0, 3.0]],
    }
    node = cpr_cmd(importances, chains, scorer, **DELETE).sel(operator="delete", area="cpr")
    alone = cpr_cmd({"whole": [[1.0, 2.0]]}, chains[:1], scorer, **DELETE).sel(operator="delete", area="cpr")
    assert node["chains_used"].to_numpy().tolist() == [1, 2]
    assert node["undefined"].sel(estimator="stopped").to_numpy().tolist() == [1, 0]
    for name in ("mean", "above_uniform_mean", "above_position_mean"):
        np.testing.assert_allclose(node[name].sel(estimator="stopped"), alone[name].sel(estimator="whole"))


def test_it_keeps_the_contract() -> None:
    """The analysis passes the check that every analysis must pass."""
    scorer, chains = toy_run_scorer(), toy_run_chains(3, 5)
    check_analysis(CprCmd(n_uniform=1, replacement="."), toy_run(chains, scorer), scorer, chains)
