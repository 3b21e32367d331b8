"""Log-odds: by hand, against comprehensiveness, and what is left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import tokimp as ti
from tests.analysis.against_chance.games import random_game, random_scores
from tokimp.analysis.log_odds.log_odds import LogOdds
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import Joint
from tokimp.contracts.scorer import Scorer
from tokimp.results.analysis_nodes import analysis_node
from tokimp.testing import AdditiveScorer, check_analysis, toy_chain
from tokimp.testing.toy_result import toy_result
from tokimp.testing.toy_run import toy_run, toy_run_chains, toy_run_scorer


class Halving(AdditiveScorer):
    """Gives an answer the probability .9, and .45 if a share of the reasoning is replaced by the mean."""

    def answer_loglik(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Return log .9 if every share is there, and log .45 otherwise."""
        is_whole = set(embeddings[:, 0].tolist()) == set(self.contributions.values())
        return torch.tensor(np.log(0.9 if is_whole else 0.45))


def log_odds(
    importances: Mapping[str, Sequence[Any]], chains: Sequence[TokenizedChain], scorer: Scorer, **options: Any
) -> xr.Dataset:
    """Return the analysis of toy chains."""
    result = toy_result(importances, chains, scorer, "answer")
    analyzed = ti.analyze(result, LogOdds(**options), scorer=scorer, chains=chains)
    return analysis_node(analyzed, "log_odds")


def test_half_the_probability_is_minus_the_logarithm_of_two() -> None:
    """With .9 before and .45 after the replacement the log-odds are -0.6931."""
    node = log_odds({"mine": [[2.0, 1.0]]}, [toy_chain("ab")], Halving({"a": 1.0, "b": 3.0}), operators=["mask"])
    assert node["value"].item() == pytest.approx(-0.6931, abs=1e-4)


@pytest.mark.parametrize("n_units", range(2, 7))
def test_random_games_have_the_change_of_their_table(n_units: int) -> None:
    """Two of five units and of six, one of fewer, are taken away; a mask that adds nothing is deletion."""
    scorer, chain = random_game(n_units, seed=1)
    scores = random_scores(n_units, seed=1)
    node = log_odds({"mine": [scores]}, [chain], scorer, share=0.4, replacement=".")
    left = np.argsort(scores)[: n_units - max(1, int(n_units * 0.4))]
    twin = scorer.value(left) - scorer.value(range(n_units))
    np.testing.assert_allclose(node["value"].to_numpy().ravel(), [twin, twin])
    position = scorer.value(range(len(left))) - scorer.value(range(n_units))
    np.testing.assert_allclose(node["position_value"].to_numpy().ravel(), [position, position])


@pytest.mark.parametrize("operator", ["delete", "mask"])
def test_it_is_comprehensiveness_with_the_other_sign(operator: str) -> None:
    """On the embedded model, both analyses give the same number for the same share and operator."""
    scorer = ti.load_scorer("tiny")
    chains = ti.load_chains("tokimp/chains/datasets/demo_chains.jsonl")[:2]
    result = ti.compare(chains, scorer, ["leave_one_out"], objective="answer", unit="word")
    own = ti.analyze(result, LogOdds(operators=[operator], n_uniform=1), scorer=scorer)
    other = ti.analyze(
        result,
        "faithfulness",
        scorer=scorer,
        rationale_shares=[0.2],
        keep_ratios=[0.0, 1.0],
        n_uniform=1,
        operator=operator,
        replacement="mean",
    )
    found, comprehensiveness = analysis_node(own, "log_odds"), analysis_node(other, "faithfulness")["comprehensiveness"]
    expected = -comprehensiveness.sel(measure="answer").to_numpy().ravel()
    np.testing.assert_allclose(found["value"].to_numpy().ravel(), expected, rtol=1e-4, atol=1e-4)


def test_an_estimator_that_did_not_reach_the_border_is_counted() -> None:
    """Where deletions stopped above the share that is replaced nothing is known, and it says so."""
    scorer, chain = AdditiveScorer(dict.fromkeys("abcdefghij", 0.1)), toy_chain("abcdefghij")
    stopped = ti.load_estimator("greedy:keep_ratio=0.5").estimate(chain, scorer, Joint())
    near = log_odds({"stopped": [stopped]}, [chain], scorer, share=0.5, replacement=".")
    far = log_odds({"stopped": [stopped]}, [chain], scorer, share=0.2, replacement=".")
    assert near["chains_used"].to_numpy().ravel().tolist() == [1, 1]
    assert far["undefined"].to_numpy().ravel().tolist() == [1, 1]


def test_it_keeps_the_contract() -> None:
    """The analysis passes the check that every analysis must pass."""
    scorer, chains = toy_run_scorer(), toy_run_chains(3, 4)
    check_analysis(LogOdds(n_uniform=1), toy_run(chains, scorer), scorer, chains)
