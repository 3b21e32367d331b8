"""Surrogates: truths that attention shows or hides, chains kept apart, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from tokimp_surrogate.analysis import Surrogate
from tokimp_surrogate.features import attention_features
from tokimp_surrogate.fitted_surrogate import load_surrogate
from tokimp_surrogate.targets import read_targets

import tokimp as ti
from tests.compare.executors.byte_scorer import chains as letters
from tests.compare.executors.byte_scorer import scorer as byte_scorer
from tests.plugins.surrogate.small_runs import (
    LETTERS,
    LOO,
    QUICK,
    SHARES,
    analysed,
    chains,
    compared,
    correlation,
    siblings,
)
from tokimp.analysis.asked_chain import AskAboutChain, OneChain
from tokimp.analysis.recorded_run import rebuild_chains
from tokimp.compare.executors.processes import ProcessesExecutor
from tokimp.contracts.analysis import Found
from tokimp.contracts.objective import Joint
from tokimp.contracts.progress import Progress
from tokimp.errors import AnalysisError
from tokimp.results.analysis_nodes import analysis_node
from tokimp.testing.toy_scorer import AdditiveScorer, toy_chain


class Blind(AdditiveScorer):
    """Attends evenly whatever the tokens are: attention shows position and nothing else."""

    attention_scales = ((0.0, 0.0),)


def test_importances_that_attention_shows_are_predicted(node: xr.Dataset) -> None:
    """Where heads attend by what tokens contribute, both regressions find it on chains they have not seen."""
    for target in ("deleted:leave_one_out", LOO, "rank:greedy"):
        assert correlation(node, target) > 0.85
        assert correlation(node, target, "ridge") > 0.7
        assert abs(correlation(node, target, "position")) < 0.4
    assert float(node["r_squared"].sel(target=LOO, model="mlp")) > 0.7
    assert float(node["r_squared"].sel(target=LOO, model="mean")) == 0
    assert np.isnan([float(node[f"r_squared_{end}"].sel(target=LOO, model="mean")) for end in ("low", "high")]).all()
    assert np.isnan(node["correlation"].sel(model="mean")).all()


def test_importances_that_attention_hides_are_not_predicted() -> None:
    """Where attention is even, nothing is found beyond position."""
    tokenized, scorer = chains(), Blind(SHARES)
    node = analysed(compared(tokenized, scorer, "leave_one_out"), tokenized, scorer)
    assert abs(correlation(node, LOO)) < 0.3
    assert abs(correlation(node, LOO, "ridge")) < 0.3


def test_the_pooled_correlation_is_that_of_levels_where_chains_differ_in_level() -> None:
    """Of chains of different lengths, position alone predicts what is left, and not which unit matters."""
    generator = np.random.default_rng(1)
    tokenized = [
        toy_chain("".join(generator.choice(list(LETTERS), length)), id=f"c{length}", question=f"{length:02}")
        for length in range(6, 42, 4)
    ]
    # The base keeps the answer of the longest chain, of 38 units, below 0.
    scorer = Blind({letter: share + 2.0 for letter, share in SHARES.items()}, answer_base=-200.0)
    node = analysed(compared(tokenized, scorer, "leave_one_out"), tokenized, scorer, epochs=100)
    name = "deleted:leave_one_out"
    assert correlation(node, name, "position", scope="pooled", partial=False) > 0.9
    assert abs(correlation(node, name, "position")) < 0.3


def test_a_single_question_is_refused_however_many_chains_it_has() -> None:
    """Nothing could be said of a question not seen: the message counts questions; chains without one are apart."""
    scorer = AdditiveScorer(SHARES)
    tokenized = siblings(1, 6)
    with pytest.raises(AnalysisError, match=r"6 chains have 'deleted:leave_one_out', too few different questions .1."):
        analysed(compared(tokenized, scorer), tokenized, scorer)
    tokenized = [replace(each, chain=replace(each.chain, question="")) for each in tokenized]
    node = analysed(compared(tokenized, scorer), tokenized, scorer, targets=[LOO])
    assert sorted(np.bincount(node["fold"].sel(target=LOO)).tolist()) == [2, 2, 2]


def test_an_estimator_that_covers_some_chains_only_is_fitted_on_those() -> None:
    """Chains it says nothing about have no fold, prediction or correlation."""
    tokenized, scorer = chains(6), AdditiveScorer(SHARES)
    silent = compared(tokenized, scorer, "leave_one_out").to_dataset()
    first = silent["chain_index"].to_numpy() == 0
    silent["importance"] = silent["importance"].copy()
    silent["rank"] = silent["rank"].copy()
    silent["importance"][0, first], silent["rank"][0, first] = np.nan, -1
    node = analysed(xr.DataTree(silent), tokenized, scorer, targets=[LOO]).sel(target=LOO)
    assert node["chains_used"] == 5
    assert int(node["units_used"]) == 5 * 16
    assert node["fold"].to_numpy()[0] == -1
    assert np.isnan(node["prediction"].to_numpy()[:, first]).all()
    assert np.isfinite(node["prediction"].to_numpy()[:, ~first]).all()


def test_a_path_that_ended_early_is_predicted_as_far_as_it_goes() -> None:
    """Units that stayed have no likelihood after their removal, and no prediction of one."""
    tokenized, scorer = chains(6), AdditiveScorer(SHARES)
    label = "greedy:keep_ratio=0.5"
    node = analysed(compared(tokenized, scorer, label), tokenized, scorer).sel(target=f"path:{label}")
    assert int(node["units_used"]) == 6 * 8
    assert np.isnan(node["prediction"].sel(model="mlp")).sum() == 6 * 8


def test_units_of_several_tokens_count_once() -> None:
    """Words are predicted as wholes, and the value stands on each of their tokens."""
    tokenized = [
        toy_chain(f"ab {letter}cd eh bb {letter} f", id=f"c{letter}", unit="word", question=letter)
        for letter in LETTERS
    ]
    scorer = AdditiveScorer(SHARES)
    node = analysed(compared(tokenized, scorer, "leave_one_out"), tokenized, scorer, targets=[LOO]).sel(target=LOO)
    assert int(node["units_used"]) == 8 * 6
    prediction = node["prediction"].sel(model="mlp").to_numpy()
    assert np.isfinite(prediction).all()
    assert prediction[0] == prediction[1]


def test_constant_importances_and_single_units_are_defined() -> None:
    """Nothing varies: correlations and drops are NaN, as is R squared, and nothing fails."""
    tokenized, scorer = [toy_chain("a", id=f"c{i}", question=f"{i}") for i in range(4)], AdditiveScorer(SHARES)
    node = analysed(compared(tokenized, scorer), tokenized, scorer, targets=[LOO])
    for name in ("correlation", "group_drop", "r_squared"):
        assert np.isnan(node[name]).all(), name
    assert np.isfinite(node["prediction"]).all()


def test_what_cannot_be_fitted_or_read_is_refused() -> None:
    """Too few chains, no deletions, unknown targets and estimators: the message says what to do."""
    tokenized, scorer = chains(2), AdditiveScorer(SHARES)
    with pytest.raises(AnalysisError, match="2 chains have 'deleted:leave_one_out', too few"):
        analysed(compared(tokenized, scorer), tokenized, scorer)
    tokenized = chains(3)
    result = compared(tokenized, scorer, "attention", "leave_one_out", "greedy")
    with pytest.raises(AnalysisError, match="with 2 folds"):
        analysed(result, tokenized, scorer, folds=2)
    for name, message in (
        ("rank", "give KIND:ESTIMATOR"),
        ("colour:greedy", "deleted, importance, path, rank"),
        ("rank:nobody", "the result has attention, leave_one_out, greedy"),
        ("deleted:attention", "needs leave-one-out"),
        ("path:attention", "recorded no likelihoods"),
    ):
        with pytest.raises(AnalysisError, match=message):
            analysed(result, tokenized, scorer, targets=[name])
    alone = compared(tokenized, scorer, "attention")
    with pytest.raises(AnalysisError, match=r'targets=\["rank:attention"\]'):
        analysed(alone, tokenized, scorer)
    assert int(analysed(alone, tokenized, scorer, targets=["rank:attention"])["chains_used"].item()) == 3


def test_objectives_without_a_recorded_likelihood_have_importances_and_ranks() -> None:
    """A result holds no value of such an objective: what is left of it cannot be a target, the fall can."""
    tokenized, scorer = chains(4), AdditiveScorer(SHARES)
    result = compared(tokenized, scorer)
    result.attrs["objective"] = "weakest"
    assert [target.name for target in read_targets(result, [])] == [LOO, "rank:greedy"]
    with pytest.raises(AnalysisError, match="predict 'importance:leave_one_out' or 'rank:leave_one_out'"):
        read_targets(result, ["deleted:leave_one_out"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"targets": "rank:greedy"},
        {"hidden": []},
        {"hidden": [0]},
        {"penalties": [-1.0]},
        {"epochs": 0},
        {"folds": 1},
        {"per_head": 1},
        {"permutations": -1},
        {"minimum_units": 2},
        {"confidence": 1.0},
        {"seed": -1},
        {"save": "nowhere/at/all/x.safetensors"},
        {"save_target": "rank:greedy"},
    ],
)
def test_parameters_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    """The message names the parameter before any model is asked."""
    with pytest.raises(AnalysisError, match=f"surrogate: {next(iter(wrong))}="):
        Surrogate(**wrong).validate_parameters()


@pytest.mark.slow
def test_the_surrogate_is_kept_where_it_is_asked_to_be(tmp_path: Path) -> None:
    """By default the one of leave-one-out's importance, with what it was fitted on; a path's is refused."""
    tokenized, scorer = chains(5), AdditiveScorer(SHARES)
    result, path = compared(tokenized, scorer), tmp_path / "kept.safetensors"
    analysed(result, tokenized, scorer, save=str(path))
    header = load_surrogate(path).header
    assert (header.target, header.sign, header.objective, header.unit) == (LOO, 1, "answer", "token")
    assert (header.layers, header.heads, header.chains, header.units) == (2, 2, 5, 80)
    names = ["deleted:leave_one_out", "path:greedy"]
    analysed(result, tokenized, scorer, save=str(path), targets=names)
    assert load_surrogate(path).header.sign == -1
    with pytest.raises(AnalysisError, match="a likelihood along a path does not"):
        analysed(result, tokenized, scorer, save=str(path), targets=names, save_target="path:greedy")


def test_progress_counts_chains_read_and_chains_predicted() -> None:
    """Each chain is reported once with its features and once for each target, and the last report is the whole."""
    tokenized, scorer = chains(5), AdditiveScorer(SHARES)
    seen: list[Progress] = []
    options = {**QUICK, "targets": [LOO, "rank:greedy"], "epochs": 1}
    result = compared(tokenized, scorer)
    ti.analyze(result, Surrogate(**options), scorer=scorer, chains=tokenized, progress=seen.append)
    assert [step.done for step in seen[:5]] == [1, 2, 3, 4, 5]
    assert {step.estimator for step in seen} == {"attention features", f"fitting {LOO}", "fitting rank:greedy"}
    assert seen[-1].done == seen[-1].total == 15


def test_position_is_that_in_the_whole_chain() -> None:
    """Where only some units have a target, position is still counted over all units of the chain."""
    tokenized = chains()
    scorer = AdditiveScorer(SHARES)
    node = analysed(compared(tokenized, scorer, "greedy:keep_ratio=0.5"), tokenized, scorer)
    target = "path:greedy:keep_ratio=0.5"
    part = node.sel(target=target, model="mlp")
    slow = []
    for index in range(len(tokenized)):
        span = slice(16 * index, 16 * (index + 1))
        values, predicted = part["value"].to_numpy()[span], part["prediction"].to_numpy()[span]
        places = np.flatnonzero(np.isfinite(values))
        assert 0 < len(places) < 16
        design = np.stack([np.ones(len(places)), places], axis=1)
        one, other = (
            x[places] - design @ np.linalg.lstsq(design, x[places], rcond=None)[0] for x in (values, predicted)
        )
        slow.append(np.corrcoef(one, other)[0, 1])
    np.testing.assert_allclose(part["correlation_by_chain"].sel(measure="pearson", partial=True), slow, atol=1e-6)
    assert correlation(node, target) == pytest.approx(np.mean(slow), abs=1e-6)


def compared_letters() -> xr.DataTree:
    """Return what leave-one-out says of seven questions, asked of a model that workers can load."""
    questions = [replace(chain, question=str(number)) for number, chain in enumerate(letters())]
    return ti.compare(questions, byte_scorer(), ["leave_one_out"], prompt_format="plain")


def test_a_chain_alone_gives_its_features() -> None:
    """On one chain, as in a worker, the analysis asks for the chain's features before it finds too few questions."""
    result, scorer = compared_letters(), byte_scorer()
    for chain in rebuild_chains(result, scorer.tokenizer):
        asked = OneChain(result.tokimp.sel(chain=chain.id), chain, "", {})
        found = AskAboutChain(Surrogate(**QUICK), Joint())(scorer, asked)
        assert isinstance(found, Found)
        features, space = attention_features(chain, scorer)
        np.testing.assert_array_equal(found.arrays["features"], features)
        assert [int(found.arrays["layers"]), int(found.arrays["heads"])] == [space.layers, space.heads]


def test_features_that_a_folder_keeps_are_not_asked_for_again(tmp_path: Path) -> None:
    """The second time no token passes through the model, and the node is the same to the bit."""
    result, analysis, silent = compared_letters(), Surrogate(**{**QUICK, "epochs": 2}), byte_scorer()
    first = ti.analyze(result, analysis, scorer=byte_scorer(), folder=tmp_path)
    second = ti.analyze(result, analysis, scorer=silent, folder=tmp_path, same_model=False)
    assert silent.tokens_forwarded == 0
    assert_same_node(first, second)


def test_too_few_questions_are_refused_before_the_model_is_asked() -> None:
    """No token passes through the model."""
    result, scorer = compared_letters().tokimp.isel(chain=[0, 1]), byte_scorer()
    with pytest.raises(AnalysisError, match="2 chains have 'deleted:leave_one_out', too few"):
        ti.analyze(result, Surrogate(**QUICK), scorer=scorer, same_model=False)
    assert scorer.tokens_forwarded == 0


@pytest.mark.slow  # two workers start
def test_workers_give_the_bits_of_this_process() -> None:
    """Workers read the attention of a chain each, and the node is the same."""
    result, analysis = compared_letters(), Surrogate(**{**QUICK, "epochs": 2})
    with ProcessesExecutor(workers=2) as workers:
        there = ti.analyze(result, analysis, scorer=byte_scorer(), executor=workers)
    assert_same_node(ti.analyze(result, analysis, scorer=byte_scorer()), there)


def assert_same_node(one: xr.DataTree, other: xr.DataTree) -> None:
    """Assert that the nodes of two results are the same to the bit, but for the seconds they took."""
    nodes = [analysis_node(tree, "surrogate").assign_attrs(seconds=0) for tree in (one, other)]
    assert nodes[0].attrs["tokens_forwarded"] > 0
    xr.testing.assert_identical(*nodes)
