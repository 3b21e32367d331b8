"""Ties below a threshold: what ties, what stays, and that everything that reads a result treats it alike."""

from __future__ import annotations

import numpy as np
import pytest

import tokimp as ti
from tokimp.analysis.deletion_orders import deletion_orders
from tokimp.contracts.estimator import Importance, Trajectory
from tokimp.distillation.prune import pruned_records
from tokimp.errors import SchemaError
from tokimp.results.analysis_nodes import analysis_node
from tokimp.results.by_chain import iterate, unit_scores
from tokimp.results.ties import tie, tied_share, tied_shares
from tokimp.testing.toy_result import toy_result

SCORES = [0.004, -0.009, 0.012, 0.019, -0.5, 0.3, 0.0, 0.021]


def test_units_that_matter_less_than_the_threshold_tie() -> None:
    """Importances are cut to whole multiples of the threshold towards 0; those of other estimators stay."""
    result = toy_result({"nats": [SCORES], "other": [SCORES]})
    tied = tie(result, 0.01, ["nats"])
    ((_, chain),) = iterate(tied)
    one, other = unit_scores(chain)
    assert one.tolist() == pytest.approx([0, 0, 0.01, 0.01, -0.5, 0.3, 0, 0.02])
    assert other.tolist() == SCORES
    assert tied_shares(tied)[:, 0].tolist() == [5 / 8, 0]


def test_a_result_is_not_changed_and_no_threshold_is_the_result_itself() -> None:
    """What is stored keeps its bits."""
    result = toy_result({"nats": [SCORES]})
    before = result["importance"].to_numpy().copy(), result["rank"].to_numpy().copy()
    tie(result, 0.1, ["nats"])
    np.testing.assert_array_equal(result["importance"], before[0])
    np.testing.assert_array_equal(result["rank"], before[1])
    assert tie(result, 0.0, []) is result


def test_ranks_follow_importance_and_ties_are_not_in_the_order_of_the_text() -> None:
    """Units that matter more have higher ranks; over chains, no place among units that tie is preferred."""
    rows = [[0.001 * unit for unit in range(9)] + [1.0] for _ in range(200)]
    ranks = tie(toy_result({"nats": rows}), 0.01, ["nats"])["rank"].to_numpy().reshape(200, 10)
    assert (ranks[:, 9] == 9).all()
    assert all(sorted(row) == list(range(10)) for row in ranks.tolist())
    assert np.abs(ranks[:, :9].mean(axis=0) - 4).max() < 0.8


def test_every_analysis_and_prune_treat_ties_alike() -> None:
    """Scores that all tie below the threshold have no agreement, and are deleted at random by analyses and prune."""
    rng = np.random.default_rng(0)
    small = [0.009 * rng.random(10) for _ in range(6)]
    result = toy_result({"nats": small, "other": small})
    plain = analysis_node(ti.analyze(result, "agreement"), "agreement")
    assert float(
        plain["mean"].sel(measure="spearman", partial=False, estimator="nats", other="other")
    ) == pytest.approx(1)
    tree = ti.analyze(result, "agreement", tie_threshold=0.01, tie_estimators=["nats"])
    node = analysis_node(tree, next(iter(tree["analysis"].children)))
    assert (node["chains_undefined"].sel(measure="spearman", partial=False, estimator="nats", other="other") == 6).all()
    assert node["tied"].sel(estimator="nats").to_numpy().tolist() == [1] * 6
    tied = tie(result, 0.01, ["nats"])
    orders = [deletion_orders(chain, 0)[0] for _, chain in iterate(tied)]
    by_score = [np.argsort(row).tolist() for row in small]
    assert [order.units.tolist() for order in orders if order is not None] != by_score
    cut = [record["kept_positions"] for record, _ in pruned_records(result, "nats", 0.5, tie_threshold=0.01)]
    stored = [record["kept_positions"] for record, _ in pruned_records(result, "nats", 0.5)]
    assert stored == [sorted(np.argsort(row)[5:].tolist()) for row in small]
    assert cut != stored
    assert all(len(kept) == 5 for kept in cut)


def test_a_threshold_needs_estimators_in_nats() -> None:
    """Without a name, and for the steps of a path, the error says what to do."""
    steps = np.arange(4)
    trajectory = Trajectory(*(np.full(4, -1.0) for _ in range(3)))
    path = Importance(steps.astype(float), steps, trajectory)
    result = toy_result({"nats": [[1.0, 2.0, 3.0, 4.0]], "greedy": [path]})
    with pytest.raises(SchemaError, match=r"name with tie_estimators .* has nats, greedy"):
        tie(result, 0.01, [])
    with pytest.raises(SchemaError, match="'greedy' are the steps at which it deleted"):
        tie(result, 0.01, ["greedy"])


def test_of_no_scores_nothing_ties() -> None:
    """The share is unknown where there are no scores, or one is missing, and is that of units that are not alone."""
    assert np.isnan(tied_share(np.array([])))
    assert np.isnan(tied_share(np.array([1.0, np.nan])))
    assert tied_share(np.array([1.0, 2.0, 1.0, 3.0])) == 0.5
