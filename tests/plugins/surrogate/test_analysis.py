"""Surrogates: truths that attention shows or hides, chains kept apart, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given as drawn
from hypothesis import strategies as st
from tokimp_surrogate.analysis import Surrogate
from tokimp_surrogate.crossfit import Examples, Perceptron, crossfit, group_drops
from tokimp_surrogate.features import KINDS
from tokimp_surrogate.fitted import load_surrogate
from tokimp_surrogate.regressors import Scaling, Training, fit_ridge
from tokimp_surrogate.report import draw_surrogate, group_table, surrogate_table
from tokimp_surrogate.targets import read_targets

import tokimp as ti
from tokimp.analysis.statistics.pooled import Resampling
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.objective import Answer
from tokimp.contracts.progress import Progress
from tokimp.errors import AnalysisError
from tokimp.testing.toy_result import toy_result
from tokimp.testing.toy_scorer import AdditiveScorer, toy_chain

LETTERS = "abcdefgh"
SHARES = {letter: 0.25 * index - 1.0 for index, letter in enumerate(LETTERS)}
QUICK: dict[str, Any] = {
    "n_resamples": 30,
    "epochs": 40,
    "penalties": [1.0],
    "hidden": [8],
    "permutations": 1,
    "folds": 3,
}
LOO = "importance:leave_one_out"


class Blind(AdditiveScorer):
    """Attends evenly whatever the tokens are: attention shows position and nothing else."""

    attention_scales = ((0.0, 0.0),)


def chains(count: int = 9) -> list[TokenizedChain]:
    """Return chains of the same letters, twice each, in random order: all are as likely as a whole."""
    generator = np.random.default_rng(0)
    return [
        toy_chain("".join(generator.permutation(list(2 * LETTERS))), id=f"c{i}", question=f"{i}") for i in range(count)
    ]


def compared(given: list[TokenizedChain], scorer: AdditiveScorer, *names: str) -> xr.DataTree:
    """Return what estimators say of the chains, the answer being what is preserved."""
    estimators = [ti.load_estimator(name) for name in names or ("leave_one_out", "greedy")]
    found = {
        estimator.label: [estimator.estimate(chain, scorer, Answer()) for chain in given] for estimator in estimators
    }
    return toy_result(found, given, scorer, objective="answer")


def analysed(result: xr.DataTree, given: list[TokenizedChain], scorer: AdditiveScorer, **more: Any) -> xr.Dataset:
    """Return the node of the analysis, quickly made."""
    tree = ti.analyze(result, "surrogate", scorer=scorer, chains=given, **{**QUICK, **more})
    return tree["analysis/surrogate"].to_dataset()


@pytest.fixture(scope="module")
def node() -> xr.Dataset:
    """Return the analysis of chains whose importances attention shows."""
    given, scorer = chains(), AdditiveScorer(SHARES)
    names = ["deleted:leave_one_out", LOO, "rank:greedy"]
    return analysed(compared(given, scorer), given, scorer, targets=names)


def found(node: xr.Dataset, target: str, model: str = "mlp", **where: Any) -> float:
    """Return one correlation."""
    chosen = {"measure": "pearson", "scope": "within", "partial": True, **where}
    return float(node["correlation"].sel(target=target, model=model, **chosen))


def test_importances_that_attention_shows_are_predicted(node: xr.Dataset) -> None:
    """Where heads attend by what tokens contribute, both regressions find it on chains they have not seen."""
    for target in ("deleted:leave_one_out", LOO, "rank:greedy"):
        assert found(node, target) > 0.85
        assert found(node, target, "ridge") > 0.7
        assert abs(found(node, target, "position")) < 0.4
    assert float(node["r_squared"].sel(target=LOO, model="mlp")) > 0.7
    assert float(node["r_squared"].sel(target=LOO, model="mean")) == 0
    assert np.isnan([float(node[f"r_squared_{end}"].sel(target=LOO, model="mean")) for end in ("low", "high")]).all()
    assert np.isnan(node["correlation"].sel(model="mean")).all()


def test_importances_that_attention_hides_are_not_predicted() -> None:
    """Where attention is even, nothing is found beyond position."""
    given, scorer = chains(), Blind(SHARES)
    node = analysed(compared(given, scorer, "leave_one_out"), given, scorer)
    assert abs(found(node, LOO)) < 0.3
    assert abs(found(node, LOO, "ridge")) < 0.3


def test_the_pooled_correlation_is_that_of_levels_where_chains_differ_in_level() -> None:
    """Of chains of different lengths, position alone predicts what is left, and not which unit matters."""
    generator = np.random.default_rng(1)
    given = [
        toy_chain("".join(generator.choice(list(LETTERS), length)), id=f"c{length}", question=f"{length:02}")
        for length in range(6, 42, 4)
    ]
    scorer = Blind({letter: share + 2.0 for letter, share in SHARES.items()})
    node = analysed(compared(given, scorer, "leave_one_out"), given, scorer, epochs=100)
    name = "deleted:leave_one_out"
    assert found(node, name, "position", scope="pooled", partial=False) > 0.9
    assert abs(found(node, name, "position")) < 0.3


def test_targets_by_hand() -> None:
    """Of contributions 1 and 3 above -10 nats: what is left without each, along the path, and ranks."""
    scorer = AdditiveScorer({"a": 1.0, "b": 3.0})
    result = compared([toy_chain("ba")], scorer)
    targets = {target.name: target for target in read_targets(result, [])}
    assert list(targets) == ["deleted:leave_one_out", LOO, "path:greedy", "rank:greedy"]
    assert {name: target.values[0].tolist() for name, target in targets.items()} == {
        "deleted:leave_one_out": [pytest.approx(-9), pytest.approx(-7)],
        LOO: [3, 1],
        "path:greedy": [pytest.approx(-10), pytest.approx(-7)],
        "rank:greedy": [1, 0],
    }
    assert [target.sign for target in targets.values()] == [-1, 1, 0, 1]


def test_no_chain_is_on_both_sides(node: xr.Dataset) -> None:
    """Each chain is in one fold, whole; what is predicted of it does not depend on its own target."""
    fold = node["fold"].sel(target=LOO).to_numpy()
    assert sorted(np.bincount(fold).tolist()) == [3, 3, 3]
    given, scorer = chains(), AdditiveScorer(SHARES)
    result = compared(given, scorer, "leave_one_out")
    changed = result.to_dataset()
    changed["importance"] = changed["importance"].copy()
    first = result["chain_index"].to_numpy() == 0
    changed["importance"][0, first] = 100 * changed["importance"][0, first] + 5
    one, other = (
        analysed(tree, given, scorer, targets=[LOO])["prediction"].sel(target=LOO)
        for tree in (result, xr.DataTree(changed))
    )
    np.testing.assert_array_equal(one.sel(model="mlp")[first], other.sel(model="mlp")[first])
    assert not np.array_equal(one.sel(model="mlp")[~first], other.sel(model="mlp")[~first])


def siblings(count: int = 4, of_each: int = 3) -> list[TokenizedChain]:
    """Return several chains of each of some questions, in random order; they differ in white space."""
    given = chains(count * of_each)
    made = [
        replace(each, chain=replace(each.chain, question=f"What is {i % count}" + " " * (i // count)))
        for i, each in enumerate(given)
    ]
    return [made[i] for i in np.random.default_rng(2).permutation(len(made))]


def test_chains_of_one_question_are_on_one_side() -> None:
    """Siblings share a fold, and what is predicted of a chain does not depend on its siblings' targets."""
    given, scorer = siblings(), AdditiveScorer(SHARES)
    questions = [chain.chain.question.strip() for chain in given]
    result = compared(given, scorer, "leave_one_out")
    node = analysed(result, given, scorer, targets=[LOO], folds=4)
    fold = node["fold"].sel(target=LOO).to_numpy().tolist()
    assert len(set(zip(questions, fold, strict=True))) == len(set(fold)) == 4
    assert sorted(np.bincount(fold).tolist()) == [3, 3, 3, 3]
    changed = result.to_dataset()
    changed["importance"] = changed["importance"].copy()
    first = result["chain_index"].to_numpy() == 0
    changed["importance"][0, first] = 100 * changed["importance"][0, first] + 5
    again = analysed(xr.DataTree(changed), given, scorer, targets=[LOO], folds=4)
    related = np.isin(result["chain_index"].to_numpy(), np.flatnonzero(np.array(questions) == questions[0]))
    for model in ("mlp", "ridge", "position", "mean"):
        one, other = (each["prediction"].sel(target=LOO, model=model).to_numpy() for each in (node, again))
        np.testing.assert_array_equal(one[related], other[related])
        assert not np.array_equal(one[~related], other[~related])


@drawn(st.lists(st.integers(0, 6), min_size=2, max_size=30).filter(lambda of: len(set(of)) > 1))
def test_whole_questions_say_when_to_stop(question: list[int]) -> None:
    """Of two questions or more some are held out with all their units, and some are left to fit on."""
    units = np.array(question)
    training = Training(np.zeros((len(units), 1), dtype=np.float32), np.zeros(len(units)), units)
    outside = training.held_out()
    assert 0 < outside.sum() < len(units)
    assert not set(units[outside]) & set(units[~outside])


def test_a_single_question_is_refused_however_many_chains_it_has() -> None:
    """Nothing could be said of a question not seen: the message counts questions; chains without one are apart."""
    scorer = AdditiveScorer(SHARES)
    given = siblings(1, 6)
    with pytest.raises(AnalysisError, match=r"6 chains have 'deleted:leave_one_out', too few different questions .1."):
        analysed(compared(given, scorer), given, scorer)
    given = [replace(each, chain=replace(each.chain, question="")) for each in given]
    node = analysed(compared(given, scorer), given, scorer, targets=[LOO])
    assert sorted(np.bincount(node["fold"].sel(target=LOO)).tolist()) == [2, 2, 2]


def test_the_features_that_carry_it_are_named() -> None:
    """A target made of one column loses its correlation with that column's group and with no other."""
    generator = np.random.default_rng(0)
    features = [generator.normal(size=(20, 6)).astype(np.float32) for _ in range(12)]
    target = [values[:, 2].astype(np.float64) for values in features]
    ids = [f"c{i}" for i in range(12)]
    examples = Examples.of(ids, ids, features, target, 0)
    fitted = crossfit(examples, 4, Perceptron((8,), (1.0,), 100, 0))
    drops = group_drops(
        examples,
        fitted,
        [[0, 1], [2], [3, 4, 5]],
        permutations=3,
        resampling=Resampling(n_resamples=20),
        minimum_units=5,
    )
    assert (drops[:, 1, 0] > 0.7).all()
    assert (np.abs(drops[:, [0, 2], 0]) < 0.1).all()
    assert (drops[:, 1, 1] <= drops[:, 1, 0]).all()


@pytest.mark.parametrize("noise", [1e-7, 1e-5])
def test_a_feature_that_jumps_in_a_chain_not_seen_does_not_carry_the_prediction_away(noise: float) -> None:
    """Constant in training but for a little noise, at one in a chain held out: that is predicted, not extrapolated."""
    generator = np.random.default_rng(0)
    features = [generator.normal(size=(20, 3)).astype(np.float32) for _ in range(9)]
    target = [values[:, 1].astype(np.float64) for values in features]
    for index, values in enumerate(features):
        values[:, 2] = 1.0 if index == 3 else noise * generator.random(20)
    ids = [f"c{i}" for i in range(9)]
    examples = Examples.of(ids, ids, features, target, 0)
    fitted = crossfit(examples, 3, Perceptron((8,), (1.0,), 60, 0))
    at = examples.ids.index("c3")
    for model in ("mlp", "ridge"):
        error = np.square(fitted.predictions[model][at] - examples.target[at]).mean()
        assert error < np.square(examples.target[at]).mean()


def test_what_is_rounding_is_told_by_the_size_of_a_feature() -> None:
    """Near 1 a deviation of 1e-7 is rounding; of weights near 1e-5 one of 3e-7 tells units apart, and is read."""
    generator = np.random.default_rng(0)
    noise = generator.normal(size=(200, 4))
    features = (np.array([1.0, 1e-5, 0.0, 300.0]) + np.array([1e-7, 3e-7, 1e-9, 1e-5]) * noise).astype(np.float32)
    target = noise[:, 1]
    training = Training(features, target, np.arange(200) // 20)
    scale = Scaling.of(training).scale
    assert scale[[0, 2, 3]].tolist() == [1, 1, 1]
    assert scale[1] == pytest.approx(3e-7, rel=0.2)
    assert np.corrcoef(fit_ridge(training)(features), target)[0, 1] > 0.99


def test_a_ridge_is_the_one_of_its_penalty() -> None:
    """With a target that is linear in one feature, predictions are close to it, level included."""
    generator = np.random.default_rng(0)
    features = generator.normal(size=(60, 3)).astype(np.float32)
    target = 3.0 * features[:, 1].astype(np.float64) - 40
    predict = fit_ridge(Training(features, target, np.arange(60) // 10))
    np.testing.assert_allclose(predict(features), target, atol=0.3)


def test_an_estimator_that_covers_some_chains_only_is_fitted_on_those() -> None:
    """Chains it says nothing about have no fold, prediction or correlation."""
    given, scorer = chains(6), AdditiveScorer(SHARES)
    silent = compared(given, scorer, "leave_one_out").to_dataset()
    first = silent["chain_index"].to_numpy() == 0
    silent["importance"] = silent["importance"].copy()
    silent["rank"] = silent["rank"].copy()
    silent["importance"][0, first], silent["rank"][0, first] = np.nan, -1
    node = analysed(xr.DataTree(silent), given, scorer, targets=[LOO]).sel(target=LOO)
    assert node["chains_used"] == 5
    assert int(node["units_used"]) == 5 * 16
    assert node["fold"].to_numpy()[0] == -1
    assert np.isnan(node["prediction"].to_numpy()[:, first]).all()
    assert np.isfinite(node["prediction"].to_numpy()[:, ~first]).all()


def test_a_path_that_ended_early_is_predicted_as_far_as_it_goes() -> None:
    """Units that stayed have no likelihood after their removal, and no prediction of one."""
    given, scorer = chains(6), AdditiveScorer(SHARES)
    label = "greedy:keep_ratio=0.5"
    node = analysed(compared(given, scorer, label), given, scorer).sel(target=f"path:{label}")
    assert int(node["units_used"]) == 6 * 8
    assert np.isnan(node["prediction"].sel(model="mlp")).sum() == 6 * 8


def test_units_of_several_tokens_count_once() -> None:
    """Words are predicted as wholes, and the value stands on each of their tokens."""
    given = [
        toy_chain(f"ab {letter}cd eh bb {letter} f", id=f"c{letter}", unit="word", question=letter)
        for letter in LETTERS
    ]
    scorer = AdditiveScorer(SHARES)
    node = analysed(compared(given, scorer, "leave_one_out"), given, scorer, targets=[LOO]).sel(target=LOO)
    assert int(node["units_used"]) == 8 * 6
    prediction = node["prediction"].sel(model="mlp").to_numpy()
    assert np.isfinite(prediction).all()
    assert prediction[0] == prediction[1]


def test_constant_importances_and_single_units_are_defined() -> None:
    """Nothing varies: correlations and drops are NaN, as is R squared, and nothing fails."""
    given, scorer = [toy_chain("a", id=f"c{i}", question=f"{i}") for i in range(4)], AdditiveScorer(SHARES)
    node = analysed(compared(given, scorer), given, scorer, targets=[LOO])
    for name in ("correlation", "group_drop", "r_squared"):
        assert np.isnan(node[name]).all(), name
    assert np.isfinite(node["prediction"]).all()


def test_what_cannot_be_fitted_or_read_is_refused() -> None:
    """Too few chains, no deletions, unknown targets and estimators: the message says what to do."""
    given, scorer = chains(2), AdditiveScorer(SHARES)
    with pytest.raises(AnalysisError, match="2 chains have 'deleted:leave_one_out', too few"):
        analysed(compared(given, scorer), given, scorer)
    given = chains(3)
    result = compared(given, scorer, "attention", "leave_one_out", "greedy")
    with pytest.raises(AnalysisError, match="with 2 folds"):
        analysed(result, given, scorer, folds=2)
    for name, message in (
        ("rank", "give KIND:ESTIMATOR"),
        ("colour:greedy", "deleted, importance, path, rank"),
        ("rank:nobody", "the result has attention, leave_one_out, greedy"),
        ("deleted:attention", "needs leave-one-out"),
        ("path:attention", "recorded no likelihoods"),
    ):
        with pytest.raises(AnalysisError, match=message):
            analysed(result, given, scorer, targets=[name])
    alone = compared(given, scorer, "attention")
    with pytest.raises(AnalysisError, match=r'targets=\["rank:attention"\]'):
        analysed(alone, given, scorer)
    assert int(analysed(alone, given, scorer, targets=["rank:attention"])["chains_used"].item()) == 3


def test_objectives_without_a_recorded_likelihood_have_importances_and_ranks() -> None:
    """A result holds no value of such an objective: what is left of it cannot be a target, the fall can."""
    given, scorer = chains(4), AdditiveScorer(SHARES)
    result = compared(given, scorer)
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


def test_the_surrogate_is_kept_where_it_is_asked_to_be(tmp_path: Path) -> None:
    """By default the one of leave-one-out's importance, with what it was fitted on; a path's is refused."""
    given, scorer = chains(5), AdditiveScorer(SHARES)
    result, path = compared(given, scorer), tmp_path / "kept.safetensors"
    analysed(result, given, scorer, save=str(path))
    header = load_surrogate(path).header
    assert (header.target, header.sign, header.objective, header.unit) == (LOO, 1, "answer", "token")
    assert (header.layers, header.heads, header.chains, header.units) == (2, 2, 5, 80)
    names = ["deleted:leave_one_out", "path:greedy"]
    analysed(result, given, scorer, save=str(path), targets=names)
    assert load_surrogate(path).header.sign == -1
    with pytest.raises(AnalysisError, match="a likelihood along a path does not"):
        analysed(result, given, scorer, save=str(path), targets=names, save_target="path:greedy")


def test_progress_counts_chains_read_and_chains_predicted() -> None:
    """Each chain is reported once with its features and once for each target, and the last report is the whole."""
    given, scorer = chains(5), AdditiveScorer(SHARES)
    seen: list[Progress] = []
    options = {**QUICK, "targets": [LOO, "rank:greedy"], "epochs": 1}
    result = compared(given, scorer)
    ti.analyze(result, Surrogate(**options), scorer=scorer, chains=given, progress=seen.append)
    assert [step.done for step in seen[:5]] == [1, 2, 3, 4, 5]
    assert {step.estimator for step in seen} == {"attention features", f"fitting {LOO}", "fitting rank:greedy"}
    assert seen[-1].done == seen[-1].total == 15


def test_tables_and_figure_show_every_target(tmp_path: Path) -> None:
    """Both can be made of any result that was analysed, after a round trip through a file; groups only if shuffled."""
    given, scorer = chains(5), AdditiveScorer(SHARES)
    for permutations, tables, panels in ((1, 2, 3), (0, 1, 2)):
        analysis = Surrogate(targets=[LOO, "rank:greedy"], **{**QUICK, "permutations": permutations})
        ti.save(ti.analyze(compared(given, scorer), analysis, scorer=scorer, chains=given), tmp_path / "r.nc")
        result = ti.load(tmp_path / "r.nc")
        shown = analysis.tables(result)
        assert len(shown) == tables
        assert shown[0].row_count == 8
        figure = analysis.figure(result)
        assert len(figure.axes) == 2 * panels
        assert [axis.get_xlabel() for axis in figure.axes[::panels]] == [
            f"{LOO}, nats",
            "rank:greedy (0 goes first, 1 last)",
        ]
        assert figure.axes[0].get_ylabel() == "predicted, nats"
        assert not any(axis.get_legend() for axis in figure.axes)  # within a panel it would cover what is drawn
        assert len(figure.legends) == permutations
        if permutations:
            assert [text.get_text() for text in figure.legends[0].get_texts()] == ["all units", "within chains"]
            assert figure.axes[2].get_xlabel() == "Pearson's r lost on held-out chains"


def test_intervals_are_promised_where_they_are_shown(node: xr.Dataset) -> None:
    """Of nine chains the table's title says that there are intervals, of four it says nothing of any."""
    assert "95% intervals" in str(surrogate_table(with_node(node)).title)
    few = with_node(node.assign(chains_used=node["chains_used"] - 5))
    assert "interval" not in str(surrogate_table(few).title)
    assert "4 chains, too few for intervals" in draw_surrogate(few).get_suptitle()


def test_the_table_warns_where_chains_are_few(node: xr.Dataset) -> None:
    """Nine chains are too few to learn much from, and the foot says so; twenty are not."""
    tree = with_node(node)
    assert "fewer than 20 chains are too few" in str(surrogate_table(tree).caption)
    assert "too few" not in str(surrogate_table(with_node(node.assign(chains_used=node["chains_used"] + 11))).caption)


def test_the_warning_names_the_targets_of_few_chains(node: xr.Dataset) -> None:
    """Where other targets have chains enough, only those that have too few are meant."""
    counts = node["chains_used"].copy(data=[9, 9, 30])
    caption = str(surrogate_table(with_node(node.assign(chains_used=counts))).caption)
    assert f"fewer than 20 chains, as of deleted:leave_one_out and {LOO}, are too few to learn much from" in caption
    assert "as of" not in str(surrogate_table(with_node(node)).caption)


def test_the_table_of_features_has_a_section_for_each_target(node: xr.Dataset) -> None:
    """However many targets there are, the losses of their groups of features stand below one another."""
    (table,) = group_table(with_node(node))
    assert [str(column.header) for column in table.columns] == ["target", "features", "all units", "within chains"]
    assert [cell for cell in table.columns[0].cells if cell] == node["target"].to_numpy().tolist()
    assert table.row_count == node.sizes["target"] * node.sizes["group"]
    assert "layers" not in str(table.caption)


def test_of_many_layers_the_most_telling_are_shown(node: xr.Dataset) -> None:
    """Of thirty layers each target has the ten with the greatest loss within chains, in order; the foot says so."""
    names = [*KINDS, *(f"layer {layer}" for layer in range(30))]
    deep = node.drop_dims("group").assign_attrs(layers=30)
    losses = np.random.default_rng(0).permuted(np.tile(np.arange(39.0), (3, 2, 1)), axis=-1)
    losses[0, 1, 9:12] = np.nan
    for end in ("", "_low", "_high"):
        deep[f"group_drop{end}"] = (("target", "scope", "group"), losses)
    tree = with_node(deep.assign_coords(group=np.array(names, dtype=object)))
    (table,) = group_table(tree)
    shown = list(table.columns[1].cells)
    figure = draw_surrogate(tree)
    for place, target in enumerate(losses[:, 1, 9:]):
        order = np.argsort(np.where(np.isnan(target), -np.inf, target))
        expected = [*KINDS, *(f"layer {layer}" for layer in sorted(order[-10:]))]
        assert shown[19 * place : 19 * place + 19] == expected
        drawn_names = [label.get_text() for label in figure.axes[3 * place + 2].get_yticklabels()]
        assert drawn_names == expected
    assert "of 30 layers the 10 with the greatest loss" in str(table.caption)
    assert "the result holds all" in str(table.caption)
    assert "10 of 30 layers" in figure.axes[2].get_title()


def with_node(node: xr.Dataset) -> xr.DataTree:
    """Return a result that holds this node of the analysis."""
    root = xr.Dataset(attrs={"objective": "joint"})
    return xr.DataTree.from_dict({"/": root, "/analysis/surrogate": node})
