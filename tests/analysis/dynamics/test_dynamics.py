"""Which units go next: predictions against paths that are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

import tokimp as ti
from tokimp.analysis.dynamics.dynamics import Dynamics
from tokimp.analysis.dynamics.report import dynamics_table
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.analysis import AnalysisInput, Scoring
from tokimp.contracts.estimator import Importance
from tokimp.contracts.objective import Answer
from tokimp.errors import AnalysisError
from tokimp.testing.toy_result import toy_result
from tokimp.testing.toy_scorer import AdditiveScorer, toy_chain

# Below 0, as likelihoods are, whatever is deleted.
SCORER = AdditiveScorer({letter: float(index) - 10.0 for index, letter in enumerate("abcdefgh")})


def pruned(chains: list[TokenizedChain], keep_ratio: float = 0.0) -> list[Importance]:
    """Return greedy paths on a model to whose answer every letter adds its own share."""
    greedy = ti.load_estimator(f"greedy:keep_ratio={keep_ratio}")
    return [greedy.estimate(chain, SCORER, Answer()) for chain in chains]


def dynamics(result: xr.DataTree, chains: list[TokenizedChain], **parameters: Any) -> xr.Dataset:
    """Return the node of the analysis."""
    analysis = Dynamics(**{"next_units": [1, 3], **parameters})
    analysis.validate_parameters()
    return analysis.compute(AnalysisInput(result, Scoring(SCORER, tuple(chains), Answer())))


def test_where_shares_add_up_both_rankings_predict_all() -> None:
    """On an additive model deletions change no other unit's score: frozen and local predict every deletion."""
    chains = [toy_chain("hacebdgf"), toy_chain("bdacfehg", id="two")]
    paths = pruned(chains)
    others = [[-float(score) for score in path.scores] for path in paths]
    node = dynamics(toy_result({"greedy": paths, "inverse": others}, chains), chains)
    for predictor in ("local", "frozen"):
        known = node["overlap"].sel(predictor=predictor).to_numpy()
        assert (known[~np.isnan(known)] == 1).all()
        correlation = node["correlation"].sel(predictor=predictor).to_numpy()
        assert correlation[~np.isnan(correlation)] == pytest.approx(1)
    assert node["overlap_mean"].sel(predictor="inverse", context_ratio=1.0, k=1).item() == 0
    assert node["correlation_mean"].sel(predictor="inverse", context_ratio=1.0).item() == pytest.approx(-1)


def test_local_has_of_exact_ties_what_chance_has() -> None:
    """Of two units that tie the path takes the leftmost; either is predicted to be next with the same probability."""
    chains = [toy_chain("hbbd")]
    node = dynamics(toy_result({"greedy": pruned(chains)}, chains), chains, context_ratios=[1.0, 0.75], next_units=[1])
    assert node["overlap"].sel(predictor="local", k=1).to_numpy().ravel().tolist() == [0.5, 1]


def test_random_orders_predict_what_chance_does() -> None:
    """Of eight units left, three drawn at random hold three eighths of the next three on average."""
    chains = [toy_chain("hacebdgf")]
    node = dynamics(toy_result({"greedy": pruned(chains)}, chains), chains, draws=400)
    overlap = node["overlap_mean"].sel(predictor="random", context_ratio=1.0)
    assert overlap.sel(k=3).item() == pytest.approx(3 / 8, abs=0.05)
    assert node["correlation_mean"].sel(predictor="random", context_ratio=1.0).item() == pytest.approx(0, abs=0.1)


def test_a_frozen_ranking_is_of_the_whole_chain() -> None:
    """Where a path goes another way than the first scores say, the frozen ranking misses what goes next."""
    chain = toy_chain("abcd")
    order = np.array([0, 3, 2, 1])
    likelihoods = np.array([-1.0, -2.0, -3.0, -4.0])
    path = Importance(order.astype(float), order, ti.Trajectory(likelihoods, likelihoods, likelihoods))
    node = dynamics(toy_result({"path": [path]}, [chain]), [chain], context_ratios=[1.0, 0.75], next_units=[1])
    assert node["overlap"].sel(predictor="frozen", context_ratio=1.0, k=1).item() == 1
    assert node["overlap"].sel(predictor="frozen", context_ratio=0.75, k=1).item() == 0
    assert node.attrs["path"] == "path"


def test_a_path_that_ends_early_says_nothing_of_what_it_kept() -> None:
    """Contexts beyond its end, and more units than it deleted after them, have no value."""
    chains = [toy_chain("hacebdgf")]
    result = toy_result({"greedy": pruned(chains, keep_ratio=0.5)}, chains)
    node = dynamics(result, chains, context_ratios=[1.0, 0.75, 0.25])
    overlap = node["overlap"].sel(predictor="local")
    assert overlap.sel(context_ratio=1.0, k=3).item() == 1
    assert overlap.sel(context_ratio=0.75, k=1).item() == 1
    assert np.isnan(overlap.sel(context_ratio=0.75, k=3)).all()
    assert np.isnan(overlap.sel(context_ratio=0.25)).all()
    assert np.isnan(node["correlation"].sel(predictor="local")).all()


def test_a_single_unit_and_a_silent_path_have_no_value() -> None:
    """There is nothing to predict about one unit, and nothing known where the path's estimator was silent."""
    chains = [toy_chain("a"), toy_chain("hacebdgf", id="two")]
    silent = toy_result({"greedy": pruned(chains)}, chains).to_dataset()
    silent["importance"][:, 1:] = np.nan
    silent["loglik_joint"][:, 1:] = np.nan
    node = dynamics(xr.DataTree(silent), chains)
    assert np.isnan(node["overlap"]).all()
    assert (node["overlap_chains"] == 0).all()


def test_a_path_has_to_be_there() -> None:
    """Without one, or under another name, the error lists those there are; numbers out of range are refused."""
    chains = [toy_chain("ab")]
    with pytest.raises(AnalysisError, match="run one that does"):
        dynamics(toy_result({"a": [[1.0, 2.0]]}, chains), chains)
    with pytest.raises(AnalysisError, match="no deletion path of 'b'; those with one: greedy"):
        dynamics(toy_result({"greedy": pruned(chains)}, chains), chains, path="b")
    for wrong in ({"context_ratios": [0.0]}, {"next_units": [0]}, {"draws": 0}, {"confidence": 0.0}):
        with pytest.raises(AnalysisError, match=next(iter(wrong))):
            dynamics(toy_result({"greedy": pruned(chains)}, chains), chains, **wrong)


def test_table_and_figure_show_every_prediction() -> None:
    """Both can be made of a result that was analysed through the model that it was made with."""
    chains = [toy_chain("hacebdgf")]
    result = toy_result({"greedy": pruned(chains)}, chains)
    analysis = Dynamics()
    result["analysis/dynamics"] = xr.DataTree(dynamics(result, chains))
    (table,) = analysis.tables(result)
    assert [column.header for column in table.columns] == ["context ratio", "local", "frozen", "random"]
    figure = analysis.figure(result)
    assert figure is not None
    assert len(figure.axes) == 2  # random orders are a line in each panel


def test_an_estimator_may_be_labelled_as_a_reference_is() -> None:
    """Its prediction has a name of its own and its own numbers; the reference keeps its name."""
    chains = [toy_chain("hacebdgf")]
    scores: dict[str, list[Any]] = {
        "greedy": pruned(chains),
        "random": [range(8)],
        "local": [range(7, -1, -1)],
        "estimator local": [range(8)],
    }
    result = toy_result(scores, chains)
    node = dynamics(result, chains)
    own = ["estimator random", "estimator estimator local", "estimator local"]
    assert node["predictor"].to_numpy().tolist() == ["local", "frozen", "random", *own]
    assert node["overlap"].sel(predictor="local", k=1).min() == 1
    plain = dynamics(toy_result({"greedy": scores["greedy"], "a": [range(8)], "b": [range(7, -1, -1)]}, chains), chains)
    for name, other in (("estimator random", "a"), ("estimator estimator local", "b")):
        np.testing.assert_array_equal(node["overlap"].sel(predictor=name), plain["overlap"].sel(predictor=other))
    result["analysis/dynamics"] = xr.DataTree(node)
    assert [column.header for column in dynamics_table(result).columns][4:] == own


def test_a_path_that_ends_early_is_said_to_where_values_are_missing() -> None:
    """The table's foot explains its dashes, and the empty figure says why it is empty; a whole path needs no word."""
    chains = [toy_chain("hacebdgf")]
    for ratio, missing in ((0.5, True), (0.0, False)):
        result = toy_result({"greedy": pruned(chains, keep_ratio=ratio)}, chains)
        result["analysis/dynamics"] = xr.DataTree(dynamics(result, chains, context_ratios=[1.0, 0.75], next_units=[1]))
        said = str(dynamics_table(result, 1).caption)
        assert ("a dash in all columns: too little of the path follows" in said) == missing
        assert "alone" not in said
        panels = ti.plot.dynamics(result, k=None)
        assert [" ".join(text.get_text().split()) for text in panels[0].texts] == ["No path goes to the end."] * missing


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ({"ranks": range(8)}, ""),
        ({"[flat]": [1.0] * 8, "ranks": range(8)}, r"a dash of \[flat] alone: what is left is ranked alike, or not"),
        ({"[flat]": [1.0] * 8, "silent": range(8)}, r"a dash of \[flat] and silent alone: what is left is ranked"),
    ],
)
def test_an_estimator_without_a_value_of_its_own_is_named(others: dict[str, list[float]], said: str) -> None:
    """On a whole path what ranks all units alike, or is silent, is to blame for its dashes, and the path is not."""
    chains = [toy_chain("hacebdgf")]
    made = {name: [scores] for name, scores in others.items()}
    dataset = toy_result({"greedy": pruned(chains), **made}, chains).to_dataset()
    silent = dataset["estimator"] == "silent"
    dataset["importance"] = dataset["importance"].where(~silent)
    dataset["rank"] = dataset["rank"].where(~silent, -1)
    result = xr.DataTree(dataset)
    result["analysis/dynamics"] = xr.DataTree(dynamics(result, chains, context_ratios=[1.0, 0.75], next_units=[1]))
    caption = str(dynamics_table(result, 1).caption)
    assert said in caption
    assert ("a dash" in caption) == bool(said)
    assert "path" not in caption


def test_predictions_below_a_threshold_tie() -> None:
    """An estimator whose units all tie predicts what chance does; without a threshold it predicts all."""
    chains = [toy_chain("hacebdgf")]
    paths = pruned(chains)
    result = toy_result({"greedy": paths, "small": [[0.01 * float(score) for score in paths[0].scores]]}, chains)
    options: dict[str, Any] = {"context_ratios": [1.0], "next_units": [3]}
    plain = dynamics(result, chains, **options)
    tied = dynamics(result, chains, tie_threshold=1.0, tie_estimators=["small"], **options)
    assert plain["overlap"].sel(predictor="small").item() == 1
    assert tied["overlap"].sel(predictor="small").item() == pytest.approx(3 / 8)
    assert tied["tied"].sel(estimator="small").item() == 1
    assert tied["overlap"].sel(predictor="local").item() == plain["overlap"].sel(predictor="local").item()
