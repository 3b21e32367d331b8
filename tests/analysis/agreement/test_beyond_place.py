"""Agreement beyond place: nothing is left of shapes that methods share, and what they share besides stays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy import stats

import tokimp.results.io as result_files
from tokimp.analysis.agreement.agreement import Agreement
from tokimp.analysis.agreement.beyond_place import PlaceSettings, noise_floor
from tokimp.analysis.agreement.beyond_place_report import agreement_tables, beyond_place_table
from tokimp.analysis.agreement.other_chains import OtherChains, products, same_places
from tokimp.analysis.agreement.pairs import MEASURES
from tokimp.analysis.run import analyze
from tokimp.analysis.statistics.intervals import mean_interval
from tokimp.analysis.statistics.rank_measures import mean_ranks, overlap_shares, pearson, rank_biased_overlap
from tokimp.analysis.statistics.ranking_features import centred, ranking_features
from tokimp.chains.arrays import FloatArray
from tokimp.chains.chain import TokenizedChain
from tokimp.contracts.analysis import AnalysisInput
from tokimp.errors import AnalysisError
from tokimp.results.analysis_nodes import analysis_node
from tokimp.testing.toy_result import toy_result
from tokimp.testing.toy_scorer import toy_chain

Draw = Callable[[np.random.Generator, int], FloatArray]


def chains_of(lengths: Sequence[int], questions: Sequence[str] | None = None) -> list[TokenizedChain]:
    """Return chains of single-letter units, each of a question of its own unless questions are named."""
    texts = questions or [f"question {index}" for index in range(len(lengths))]
    named = zip(lengths, texts, strict=True)
    return [toy_chain("x" * n, id=f"chain-{i}", question=text) for i, (n, text) in enumerate(named)]


def node_of(result: xr.DataTree, **options: Any) -> xr.Dataset:
    """Return the agreement of a result."""
    return Agreement(**options).compute(AnalysisInput(result))


def last_fifth(rng: np.random.Generator, n: int) -> FloatArray:
    """Return noise that is higher in the last fifth."""
    return rng.normal(size=n) + 3 * (np.arange(n) + 0.5 >= 0.8 * n)


def u_shape(rng: np.random.Generator, n: int) -> FloatArray:
    """Return noise that is higher at both ends."""
    return 0.8 * rng.normal(size=n) + 3 * np.linspace(-1, 1, n) ** 2


@pytest.mark.parametrize(("shape", "left_by_a_line"), [(last_fifth, 0.25), (u_shape, 0.5)])
def test_methods_that_share_only_a_shape_agree_by_nothing_beyond_place(shape: Draw, left_by_a_line: float) -> None:
    """A preference for the last fifth or for both ends leaves a partial correlation, and nothing beyond place."""
    rng = np.random.default_rng(7)
    lengths = rng.integers(40, 61, size=30).tolist()
    scores = {name: [shape(rng, n) for n in lengths] for name in ("a", "b")}
    node = node_of(toy_result(scores, chains_of(lengths))).sel(estimator="a", other="b")
    assert float(node["mean"].sel(measure="spearman", partial=True)) > left_by_a_line
    for measure in MEASURES:
        beyond = node.sel(measure=measure)
        assert float(beyond["beyond_place_low"]) < 0 < float(beyond["beyond_place_high"])
        assert float(beyond["p_corrected"]) > 0.05
    assert abs(float(node["beyond_place_mean"].sel(measure="spearman"))) < 0.03


def test_intervals_beyond_place_cover_nothing_as_often_as_they_say() -> None:
    """Of many runs of 8 chains, about 19 in 20 have an interval that holds the 0 which is true."""

    def features(row: FloatArray) -> list[FloatArray]:
        return [centred(mean_ranks(row))]

    held = []
    for run in range(150):
        rng = np.random.default_rng(run)
        scores = [np.stack([u_shape(rng, 40), u_shape(rng, 40)]) for _ in range(8)]
        others = OtherChains(scores, range(8), 10, 5)
        beyond = []
        for chain, rows in enumerate(scores):
            own = [features(row) for row in rows]
            chance = products(own, [others.mean_features(chain, row, features) for row in (0, 1)], 1)
            beyond.append(float(own[0][0] @ own[1][0]) - chance[0, 0, 1])
        interval = mean_interval(np.array(beyond))
        held.append(interval.low <= 0 <= interval.high)
    assert 0.9 <= np.mean(held) <= 0.99


def test_what_methods_share_besides_stays() -> None:
    """Where both know the same units, most of it is left beyond a shape that they share too."""
    rng = np.random.default_rng(3)
    shared = [u_shape(rng, 40) + 2 * rng.normal(size=40) for _ in range(10)]
    scores = {name: [row + 0.5 * rng.normal(size=40) for row in shared] for name in ("a", "b")}
    node = node_of(toy_result(scores, chains_of([40] * 10))).sel(estimator="a", other="b", measure="spearman")
    assert float(node["beyond_place_mean"]) > 0.6
    assert float(node["p_corrected"]) < 0.001


def test_chance_by_place_is_computed_by_hand_in_the_slow_way() -> None:
    """It is the mean, over other chains of other questions and both ways round, of the measures of two rankings."""
    rng = np.random.default_rng(1)
    lengths, questions = [7, 9, 12, 8], ["p", "q", "q", "r"]
    scores = {name: [rng.integers(0, 5, size=n).astype(float) for n in lengths] for name in ("a", "b")}
    node = node_of(toy_result(scores, chains_of(lengths, questions)), top_k=2, rbo_p=0.8)
    found = node["place_chance"].sel(estimator="a", other="b")
    for chain, n in enumerate(lengths):
        values = []
        for other, m in enumerate(lengths):
            if questions[other] == questions[chain]:
                continue
            places = [int((unit + 0.5) / n * m) for unit in range(n)]
            for one, two in (("a", "b"), ("b", "a")):
                mine, theirs = scores[one][chain], scores[two][other][places]
                shares = overlap_shares(mine, theirs)
                spearman = pearson(mean_ranks(mine), mean_ranks(theirs))
                values.append(
                    [spearman, stats.kendalltau(mine, theirs).statistic, shares[1], rank_biased_overlap(shares, 0.8)]
                )
        np.testing.assert_allclose(found.isel(chain=chain), np.mean(values, axis=0), atol=1e-12)


def test_features_give_the_measures_of_two_rankings() -> None:
    """Inner products of features are Spearman, Kendall, overlap and RBO, with ties and in long chains."""
    rng = np.random.default_rng(2)
    for n in (5, 13, 400):
        a, b = rng.integers(0, 9, size=(2, n)).astype(float)
        one, other = ranking_features(a, 3, 0.9), ranking_features(b, 3, 0.9)
        assert one is not None
        assert other is not None
        assert {vector.dtype for vector in one} == {np.dtype(np.float64)}
        shares = overlap_shares(a, b)
        slow = [
            pearson(mean_ranks(a), mean_ranks(b)),
            stats.kendalltau(a, b).statistic,
            shares[2],
            rank_biased_overlap(shares, 0.9),
        ]
        assert [x @ y for x, y in zip(one, other, strict=True)] == pytest.approx(slow, abs=1e-11)
    assert ranking_features(np.ones(4), 1, 0.9) is None


def test_other_chains_are_of_other_questions_and_of_about_one_length() -> None:
    """The nearest in length come first; chains of the same question and short ones never do."""
    rows = [np.zeros((1, n)) + n for n in (10, 11, 10, 30, 3)]
    others = OtherChains(rows, [0, 0, 1, 2, 3], count=2, fewest=5)
    assert [float(scores[0]) for scores in others.at_places_of(0, 0).values()] == [10, 30]
    assert [len(scores) for scores in others.at_places_of(0, 0).values()] == [10, 10]
    assert same_places(10, 30).tolist() == [1, 4, 7, 10, 13, 16, 19, 22, 25, 28]


def test_chains_of_one_question_say_nothing_of_place() -> None:
    """There is no chance to subtract, and the second table is the linear one, which says what it leaves."""
    rng = np.random.default_rng(0)
    lengths = [9] * 6
    tree = analyze(
        toy_result({name: [rng.normal(size=9) for _ in lengths] for name in "ab"}, chains_of(lengths, ["same"] * 6)),
        "agreement",
    )
    node = analysis_node(tree, "agreement")
    assert np.isnan(node["beyond_place"]).all()
    assert (node["beyond_place_chains"] == 0).all()
    titles = [str(make_table(tree).title) for make_table in agreement_tables(tree, "agreement")]
    assert titles[1].startswith("Agreement, position partialled out linearly")
    assert str(beyond_place_table(tree).caption).startswith("not known: place alone is seen where scores of chains of")


def test_surprisal_is_taken_out() -> None:
    """Two methods that both hold each unit's surprisal, and nothing else in common, agree by it and no further."""
    rng = np.random.default_rng(5)
    cost = [2 * rng.random(40) for _ in range(40)]
    scores = {name: [2 * row + 0.5 * rng.normal(size=40) for row in cost] for name in ("a", "b")}
    tree = toy_result(scores, chains_of([40] * 40))
    tree["logprob"].to_numpy()[:] = -np.concatenate(cost)
    node = node_of(tree).sel(estimator="a", other="b")
    assert float(node["beyond_place_mean"].sel(measure="spearman")) > 0.6
    assert abs(float(node["without_surprisal_mean"])) < 0.1


def test_random_orders_stay_as_near_to_chance_as_is_known_in_closed_form() -> None:
    """The noise is 1.96 standard errors: of Spearman 1 / (n - 1), of Kendall 2 (2n + 5) / (9n (n - 1)) a chain."""
    n, n_chains = 20, 400
    tree = toy_result({"a": [np.arange(20.0)] * n_chains}, chains_of([n] * n_chains))
    settings = PlaceSettings(top_k=5, rbo_p=0.9, minimum_units=5, others=10, confidence=0.95, seed=0)
    spearman, kendalls = 1 / (n - 1), 2 * (2 * n + 5) / (9 * n * (n - 1))
    overlap = 5 / 20 * (1 - 5 / 20) * (n - 5) / (n - 1) / 5
    expected = 1.96 * np.sqrt(np.array([spearman, kendalls, overlap]) / n_chains)
    assert noise_floor(tree, settings)[:3] == pytest.approx(expected, rel=0.04)


def test_a_result_with_random_weights_stands_beside(tmp_path: Path) -> None:
    """Its agreement beyond place is that of its own analysis; a result of the same weights is refused."""
    rng = np.random.default_rng(6)
    lengths = [30] * 8
    scores = {name: [rng.normal(size=30) for _ in lengths] for name in ("a", "b", "c")}
    trained, untrained = (toy_result(scores, chains_of(lengths)) for _ in range(2))
    untrained = toy_result({"c": scores["a"], "a": scores["a"], "x": scores["b"]}, chains_of(lengths))
    untrained.attrs["model_fingerprint"] = "random"
    result_files.save(untrained, tmp_path / "random.nc")
    result_files.save(trained, tmp_path / "same.nc")
    node = node_of(trained, random=str(tmp_path / "random.nc"))
    own = node_of(untrained)["beyond_place_mean"].sel(estimator="a", other="c")
    np.testing.assert_allclose(node["random_weights_mean"].sel(estimator="a", other="c"), own, atol=1e-6)
    assert np.isnan(node["random_weights_mean"].sel(estimator="b")).all()
    tree = analyze(trained, "agreement", random=str(tmp_path / "random.nc"))
    table = agreement_tables(tree, next(iter(tree["analysis"].children)))[1](
        tree, node_name=next(iter(tree["analysis"].children))
    )
    assert "Spearman, random weights" in [str(column.header) for column in table.columns]
    with pytest.raises(AnalysisError, match="same weights"):
        node_of(trained, random=str(tmp_path / "same.nc"))
    with pytest.raises(AnalysisError, match="random='nowhere"):
        analyze(trained, "agreement", random="nowhere.nc")


def test_the_table_ends_with_what_is_told_from_chance() -> None:
    """Of three pairs one agrees: the foot names it with its value, and the others without, and what was corrected."""
    rng = np.random.default_rng(8)
    lengths = [40] * 12
    one = [rng.normal(size=40) for _ in lengths]
    scores = {"a": one, "b": [row + 0.5 * rng.normal(size=40) for row in one], "c": [rng.normal(size=40) for _ in one]}
    tree = analyze(toy_result(scores, chains_of(lengths)), "agreement")
    foot = str(beyond_place_table(tree).caption)
    mean = float(
        analysis_node(tree, "agreement")["beyond_place_mean"].sel(measure="spearman", estimator="a", other="b")
    )
    assert f"Told from chance: Spearman agreement beyond place of a / b ({mean:.2f})." in foot
    assert "Not told from it: a / c and b / c." in foot
    assert "Holm over 3 pairs; the other measures are exploratory" in foot
    assert "so many chains show a Spearman agreement of 0." in foot


def opposite_chains() -> xr.DataTree:
    """Return two chains on which ``a`` and ``b`` agree and place alone makes them disagree; ``c`` is ``b`` reversed."""
    rise = np.arange(20.0)
    nearly = rise.copy()
    nearly[[3, 9]] = nearly[[9, 3]]
    scores = {"a": [rise, -rise], "b": [rise, -nearly], "c": [-rise, nearly]}
    tree = toy_result(scores, chains_of([20, 20]))
    tree["logprob"].to_numpy()[:] = -1.0
    return tree


def test_differences_of_correlations_reach_from_minus_2_to_2(tmp_path: Path) -> None:
    """A correlation of almost 1 where place makes almost -1 has an interval up to 2, under every control."""
    tree, untrained = opposite_chains(), opposite_chains()
    untrained.attrs["model_fingerprint"] = "random"
    result_files.save(untrained, tmp_path / "random.nc")
    node = node_of(tree, random=str(tmp_path / "random.nc"))
    for name in ("beyond_place", "without_surprisal", "random_weights"):
        spearman = {"measure": "spearman"} if name != "without_surprisal" else {}
        for other, sign, end in (("b", 1, "high"), ("c", -1, "low")):
            pair = {"estimator": "a", "other": other, **spearman}
            mean, bound = (float(node[f"{name}_{part}"].sel(pair)) for part in ("mean", end))
            assert 1.5 < sign * mean < 2
            assert bound == sign * 2


def test_importances_with_random_weights_tie_as_those_of_the_trained_model_do(tmp_path: Path) -> None:
    """Their agreement is that of their own analysis with the same threshold; a named estimator may be missing there."""
    rng = np.random.default_rng(9)
    rows = {name: [2 * rng.normal(size=30) for _ in range(6)] for name in ("a", "b", "c")}
    trained, untrained = (
        toy_result(rows, chains_of([30] * 6)),
        toy_result({"a": rows["b"], "c": rows["a"]}, chains_of([30] * 6)),
    )
    untrained.attrs["model_fingerprint"] = "random"
    result_files.save(untrained, tmp_path / "random.nc")
    found = {
        ties: node_of(trained, random=str(tmp_path / "random.nc"), tie_threshold=1.5, tie_estimators=ties)
        for ties in (("a", "b"), ("b",))
    }
    pair = {"estimator": "a", "other": "c"}
    for ties, own in (
        (("a", "b"), node_of(untrained, tie_threshold=1.5, tie_estimators=["a"])),
        (("b",), node_of(untrained)),
    ):
        np.testing.assert_allclose(
            found[ties]["random_weights_mean"].sel(pair), own["beyond_place_mean"].sel(pair), atol=1e-6
        )
    one, other = (node["random_weights_mean"].sel(pair).to_numpy() for node in found.values())
    assert not np.allclose(one, other)


@pytest.mark.parametrize(
    ("scores", "ids", "missing"),
    [({"a": 2, "x": 2}, ("chain-0", "chain-1"), "two estimators"), ({"a": 2, "b": 2}, ("other-0", "other-1"), "chain")],
)
def test_a_result_with_random_weights_of_something_else_is_refused(
    tmp_path: Path, scores: dict[str, int], ids: tuple[str, str], missing: str
) -> None:
    """With one estimator in common there is no pair, and without a chain there is nothing; the message says which."""
    rise = np.arange(6.0)
    other = toy_result({name: [rise] * n for name, n in scores.items()}, [toy_chain("x" * 6, id=name) for name in ids])
    other.attrs["model_fingerprint"] = "random"
    result_files.save(other, tmp_path / "random.nc")
    trained = toy_result({"a": [rise] * 2, "b": [rise] * 2}, chains_of([6, 6]))
    with pytest.raises(AnalysisError, match=f"it has no {missing} in common"):
        node_of(trained, random=str(tmp_path / "random.nc"))


def test_a_top_of_all_units_has_no_chance_and_takes_none_from_the_other_measures() -> None:
    """Chains as short as allowed count; where the top is the whole chain, its overlap alone is not known."""
    rng = np.random.default_rng(10)
    lengths = [5, 5, 8]
    tree = toy_result({name: [rng.normal(size=n) for n in lengths] for name in "ab"}, chains_of(lengths))
    whole, part = node_of(tree, top_k=5), node_of(tree, top_k=2)
    for measure in MEASURES:
        chance = whole["place_chance"].sel(measure=measure, estimator="a", other="b").to_numpy()
        assert np.isfinite(chance).tolist() == ([False, False, True] if measure == "top_k_overlap" else [True] * 3)
        if measure != "top_k_overlap":
            assert whole["noise"].sel(measure=measure).item() == part["noise"].sel(measure=measure).item() > 0
    of_long = node_of(tree.tokimp.sel(chain=["chain-2"]), top_k=5)["noise"].sel(measure="top_k_overlap").item()
    assert whole["noise"].sel(measure="top_k_overlap").item() == of_long > 0
    assert np.isnan(node_of(tree, top_k=8)["noise"].sel(measure="top_k_overlap").item())
    assert np.isfinite(part["without_surprisal"].sel(estimator="a", other="b")).all()
