"""Scores of faithfulness, read from the nodes of analyses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy import stats

import tokimp as ti
from tokimp.analysis.statistics.intervals import mean_interval
from tokimp.audit.scores import Score, mean_of, scores_of
from tokimp.results.analysis_nodes import analysis_node, node_name
from tokimp.testing.toy_run import toy_run, toy_run_chains, toy_run_scorer

SCORER = toy_run_scorer()
CHAINS = toy_run_chains()
RESULT = toy_run(CHAINS, SCORER)
LABELS = RESULT["estimator"].to_numpy().tolist()


def test_faithfulness_gives_both_measures_of_the_answer_beside_the_controls() -> None:
    """The advantage is the difference within each chain, turned so that positive is better."""
    result = ti.analyze(RESULT, "faithfulness", scorer=SCORER, chains=CHAINS)
    node = analysis_node(result, "faithfulness").sel(measure="answer")
    by_name = {score.name: score for score in scores_of(result, "faithfulness")}
    assert list(by_name) == ["comprehensiveness, delete", "sufficiency, delete"]
    for name, sign in (("comprehensiveness", 1), ("sufficiency", -1)):
        score = by_name[f"{name}, delete"]
        assert score.higher_is_better == (sign == 1)
        for row, label in enumerate(LABELS):
            for chain in range(len(CHAINS)):
                own = node[name].sel(estimator=label).isel(chain=chain).to_numpy().mean()
                random = node[f"uniform_{name}"].isel(chain=chain).to_numpy().mean()
                place = node[name].sel(estimator="position").isel(chain=chain).to_numpy().mean()
                assert score.value[row, chain] == pytest.approx(own)
                assert score.advantage["uniform"][row, chain] == pytest.approx(sign * (own - random))
                assert score.advantage["position"][row, chain] == pytest.approx(sign * (own - place))
        assert not score.advantage["position"][LABELS.index("position")].any()


def test_any_analysis_with_values_beside_the_controls_gives_scores() -> None:
    """One score for each operator and side of `naopc`, of which sufficiency is better low."""
    analysis = ti.load_analysis("naopc", operators=["delete"], n_uniform=2)
    result = ti.analyze(RESULT, analysis, scorer=SCORER, chains=CHAINS)
    scores = scores_of(result, node_name(analysis))
    assert [score.higher_is_better for score in scores] == [True, False]
    node = analysis_node(result, "naopc").isel(operator=0)
    for score, side, sign in zip(scores, ("comprehensiveness", "sufficiency"), (1, -1), strict=True):
        selected = node.sel(side=side)
        np.testing.assert_array_equal(score.value, selected["value"].transpose("estimator", "chain"))
        above = selected["above_uniform"].transpose("estimator", "chain")
        np.testing.assert_array_equal(score.advantage["uniform"], sign * above)


def test_an_analysis_without_such_values_gives_no_scores() -> None:
    """It may be named among the metrics of an audit all the same."""
    assert scores_of(ti.analyze(RESULT, "agreement"), "agreement") == []


def test_undefined_chains_are_counted() -> None:
    """What is not known is no value, and says how often it is not."""
    result = ti.analyze(RESULT, "faithfulness", scorer=SCORER, chains=CHAINS)
    score = scores_of(result, "faithfulness")[0]
    score.value[0, 0] = np.nan
    said = score.of(0, 0.95)
    assert said["undefined"] == 1
    assert said["value"]["chains"] == len(CHAINS) - 1
    assert set(said["above_position"]) == {"mean", "low", "high", "chains", "p"}


def test_a_score_that_is_pooled_over_chains_has_means_alone() -> None:
    """CPR and CMD have no number of a chain; their intervals give the p-value, and a low CMD counts as better."""
    analysis = ti.load_analysis("cpr_cmd", operators=["delete"], n_uniform=2)
    result = ti.analyze(RESULT, analysis, scorer=SCORER, chains=CHAINS)
    node = analysis_node(result, "cpr_cmd").isel(operator=0, estimator=0)
    scores = scores_of(result, node_name(analysis))
    assert [score.name.rpartition(", ")[2] for score in scores] == ["cpr", "cmd"]
    assert [score.higher_is_better for score in scores] == [True, False]
    for score, area, sign in zip(scores, ("cpr", "cmd"), (1, -1), strict=True):
        said, stored = score.of(0, 0.95), node.sel(area=area)
        assert np.isnan(score.value).all()
        assert said["value"]["mean"] == pytest.approx(stored["mean"].item())
        above = said["above_uniform"]
        ends = sorted(sign * stored[f"above_uniform_{end}"].item() for end in ("low", "high"))
        assert above["mean"] == pytest.approx(sign * stored["above_uniform_mean"].item())
        assert [above["low"], above["high"]] == pytest.approx(ends)
        assert (above["p"] < 0.05) == (ends[0] > 0 or ends[1] < 0)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_p_value_of_a_pooled_score_is_that_of_the_side_of_0(sign: int) -> None:
    """A mean two half widths from 0 has the t that belongs to twice the quantile, however far the other end is."""
    ends = [2.0, 1.0, 10.0] if sign > 0 else [-2.0, -10.0, -1.0]
    pooled = {"value": np.array([ends]), "above_uniform": np.array([ends])}
    said = Score("x", True, np.full((1, 12), np.nan), {}, pooled, np.array([9])).of(0, 0.9)
    expected = 2 * stats.t.sf(2 * stats.t.ppf(0.95, 8), 8)
    assert said["above_uniform"]["p"] == pytest.approx(expected)
    assert (said["above_uniform"]["mean"], said["above_uniform"]["chains"], said["undefined"]) == (2 * sign, 9, 3)


def test_a_pooled_score_of_one_chain_or_without_a_width_has_no_p_value() -> None:
    """Over four chains the ends of the interval are left out, and the p-value is known."""

    def above(ends: list[float], chains: int) -> dict[str, Any]:
        pooled = {"value": np.array([ends]), "above_uniform": np.array([ends])}
        score = Score("x", True, np.full((1, 12), np.nan), {}, pooled, np.array([chains]))
        return dict(score.of(0, 0.95)["above_uniform"])

    assert above([1.0, 0.5, 1.5], 1)["p"] is None
    assert above([1.0, 1.0, 1.0], 9)["p"] is None
    four = above([1.0, 0.5, 1.5], 4)
    assert (four["low"], four["high"]) == (None, None)
    assert four["p"] is not None


def test_a_score_is_not_known_where_a_share_of_it_is_missing() -> None:
    """A mean of the shares that happen to be known would be of something else."""
    result = ti.analyze(RESULT, "faithfulness", scorer=SCORER, chains=CHAINS)
    variable = result["analysis/faithfulness"]["comprehensiveness"]
    first = tuple(0 if dim in {"estimator", "chain", "share"} else slice(None) for dim in variable.dims)
    variable.to_numpy()[first] = np.nan
    value = scores_of(result, "faithfulness")[0].value
    assert np.isnan(value[0, 0])
    assert np.isfinite(value).sum() == value.size - 1


def test_a_high_value_is_good_unless_an_analysis_says_otherwise() -> None:
    """A node of a stranger's analysis without a word on it has advantages as they are."""
    numbers = np.arange(1.0 * len(LABELS) * len(CHAINS)).reshape(len(LABELS), -1)
    dims = ("estimator", "chain")
    result = RESULT.copy()
    result["analysis/mine"] = xr.DataTree(
        xr.Dataset(dict.fromkeys(("value", "above_uniform", "above_position"), (dims, numbers)))
    )
    (score,) = scores_of(result, "mine")
    assert (score.name, score.higher_is_better) == ("mine", True)
    np.testing.assert_array_equal(score.advantage["position"], numbers)


def test_intervals_of_scores_have_the_confidence_asked_for() -> None:
    """That of a mean over six chains by the statistics of all analyses."""
    values = np.array([0.1, 0.4, np.nan, 0.2, 0.9, 0.3, 0.35])
    interval = mean_interval(values, confidence=0.7)
    expected = {"mean": interval.mean, "low": interval.low, "high": interval.high, "chains": 6}
    assert mean_of(values, 0.7) == pytest.approx(expected)
