"""Soft sufficiency and comprehensiveness: a slow twin, what hard masks give, and what is left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import tokimp as ti
from tokimp.analysis.soft_faithfulness.soft_faithfulness import SoftFaithfulness
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.scorer import Scorer
from tokimp.contracts.seeded import seeded_generator
from tokimp.results.analysis_nodes import analysis_node
from tokimp.testing import AdditiveScorer, check_analysis, toy_chain
from tokimp.testing.toy_result import toy_result
from tokimp.testing.toy_run import toy_run, toy_run_chains, toy_run_scorer

SHARES = {"a": 0.7, "b": 0.2, "c": 1.1, "d": -0.3, "e": 0.4, "f": 0.05}


class Curved(AdditiveScorer):
    """Adds the squares of the shares too, so that shares that are all the same are worth less."""

    def answer_loglik(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Return the base, the sum of the shares and a fifth of that of their squares."""
        return self.answer_base + embeddings[:, 0].sum() + 0.2 * (embeddings[:, 0] ** 2).sum()


def soft(
    importances: Mapping[str, Sequence[Any]], chains: Sequence[TokenizedChain], scorer: Scorer, **options: Any
) -> xr.Dataset:
    """Return the analysis of toy chains."""
    result = toy_result(importances, chains, scorer, "answer")
    analyzed = ti.analyze(result, SoftFaithfulness(**options), scorer=scorer, chains=chains)
    return analysis_node(analyzed, "soft_faithfulness")


def test_every_number_has_a_slow_twin() -> None:
    """Ranks, masks, probabilities and means over draws, written out for one chain of six units and two stand-ins."""
    scorer = Curved(SHARES, answer_base=-3.0)
    chain, scores = toy_chain("abcdef", answer="!!"), [3.0, 1.0, 5.0, 4.0, 0.0, 2.0]
    node = soft({"mine": [scores]}, [chain], scorer, n_draws=3, seed=5)
    own, shares = scorer.embed(chain.reasoning_ids).numpy(), np.array(scores) / 5
    for stand_in, vector in (("zero", np.zeros(2)), ("mean", own.mean(axis=0))):

        def probability(embeddings: Any) -> float:
            return float(np.exp((-3.0 + embeddings[:, 0].sum() + 0.2 * (embeddings[:, 0] ** 2).sum()) / 2))

        full, nothing = probability(own), probability(np.tile(vector, (6, 1)))
        expected: dict[str, list[float]] = {"soft_sufficiency": [], "soft_comprehensiveness": []}
        for draw in range(3):
            kept, left = own.copy(), own.copy()
            to_keep, to_lose = (
                seeded_generator(5, "toy", f"soft {use} {draw}").random((6, 2)) for use in ("keep", "lose")
            )
            for token in range(6):
                for coordinate in range(2):
                    if not to_keep[token, coordinate] < shares[token]:
                        kept[token, coordinate] = vector[coordinate]
                    if not to_lose[token, coordinate] < 1 - shares[token]:
                        left[token, coordinate] = vector[coordinate]
            worst = 1 - max(0.0, full - nothing)
            score = (1 - max(0.0, full - probability(kept)) - worst) / (1 - worst)
            expected["soft_sufficiency"].append(min(1.0, max(0.0, score)))
            lost = max(0.0, full - probability(left)) / (1 - worst)
            expected["soft_comprehensiveness"].append(min(1.0, max(0.0, lost)))
        found = node.sel(operator=stand_in, estimator="mine").isel(chain=0)
        for side, values in expected.items():
            assert float(found["value"].sel(side=side)) == pytest.approx(np.mean(values), abs=1e-6)
        assert (float(found["full"]), float(found["without"])) == pytest.approx((full, nothing), abs=1e-6)


def test_two_units_are_kept_or_dropped_as_a_whole() -> None:
    """Ranks of two units are 0 and 1: the right order has 1 on both sides, the wrong one 0."""
    scorer = AdditiveScorer({"a": 2.0, "b": 0.0}, answer_base=-3.0)
    node = soft(
        {"right": [[2.0, 1.0]], "wrong": [[1.0, 2.0]]}, [toy_chain("ab")], scorer, n_draws=2, stand_ins=["zero"]
    )
    np.testing.assert_allclose(node["value"].sel(estimator="right"), 1)
    np.testing.assert_allclose(node["value"].sel(estimator="wrong"), 0)
    np.testing.assert_allclose(node["position_value"], 0)


def test_scaling_by_size_keeps_how_far_apart_units_are() -> None:
    """By rank a middle unit is at .5 wherever its score lies; by size it is where its score is."""
    scorer = AdditiveScorer({"a": 1.0, "b": 1.0, "c": 1.0}, answer_base=-4.0)
    chains, scores = [toy_chain("abc")], {"near": [[0.0, 1.0, 10.0]], "far": [[0.0, 9.0, 10.0]]}
    by_rank, by_size = (
        soft(scores, chains, scorer, scaling=scaling, stand_ins=["zero"]) for scaling in ("rank", "min_max")
    )
    assert (by_rank["value"].sel(estimator="near") == by_rank["value"].sel(estimator="far")).all()
    kept = by_size["value"].sel(side="soft_sufficiency")
    assert (kept.sel(estimator="far") > kept.sel(estimator="near")).all()


def test_orders_that_coincide_cost_what_one_costs() -> None:
    """Two estimators of one ranking are asked about once."""
    scorer, chains = AdditiveScorer(SHARES, answer_base=-3.0), [toy_chain("abcdef")]
    nodes = [
        soft({name: [scores] for name in names}, chains, scorer, n_draws=1)
        for names in ("a", "ab")
        for scores in [[3.0, 1.0, 5.0, 4.0, 0.0, 2.0]]
    ]
    assert nodes[0].attrs["tokens_forwarded"] == nodes[1].attrs["tokens_forwarded"]


def test_chains_without_a_value_are_counted() -> None:
    """One unit has no rank, and an answer as likely without the embeddings has nothing to lose: both are counted."""
    scorer = AdditiveScorer({"a": 1.0, "b": 0.0, "c": 0.0}, answer_base=-3.0)
    chains = [toy_chain("a", id="one"), toy_chain("bc", id="flat"), toy_chain("ab", id="good")]
    node = soft({"mine": [[1.0], [1.0, 2.0], [2.0, 1.0]]}, chains, scorer, stand_ins=["zero"], n_draws=1)
    by_reason = node["undefined"].isel(side=0, operator=0, estimator=0)
    assert by_reason.to_numpy().tolist() == [0, 1, 1]
    assert node["chains_used"].to_numpy().ravel().tolist() == [1, 1]


def test_a_real_model_fades_as_its_embeddings_do() -> None:
    """On the embedded model, the full embeddings give the recorded likelihood, and scores are from 0 to 1."""
    scorer = ti.load_scorer("tiny")
    chain = ti.load_chains("tokimp/chains/datasets/demo_chains.jsonl")[:1]
    result = ti.compare(chain, scorer, ["leave_one_out"], objective="answer", unit="sentence")
    analyzed = ti.analyze(result, SoftFaithfulness(n_draws=1, n_uniform=1, stand_ins=["zero"]), scorer=scorer)
    (name,) = analyzed["analysis"].children
    node = analysis_node(analyzed, name)
    tokens = len(ti.tokenize_chain(chain[0], scorer.tokenizer).answer_ids)
    recorded = np.exp(result["full_loglik_answer"].to_numpy() / tokens)
    np.testing.assert_allclose(node["full"], recorded, rtol=1e-4)
    assert ((node["value"] >= 0) & (node["value"] <= 1)).all()


def test_it_keeps_the_contract() -> None:
    """The analysis passes the check that every analysis must pass."""
    scorer, chains = toy_run_scorer(), toy_run_chains(3, 4)
    check_analysis(SoftFaithfulness(n_uniform=1, n_draws=1), toy_run(chains, scorer), scorer, chains)
