"""How alike an estimator ranks the same units twice: against numbers worked out by hand, and what is left out."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from tokimp.audit.similarity import similarity
from tokimp.errors import AnalysisError
from tokimp.testing.toy_result import toy_result
from tokimp.testing.toy_scorer import toy_chain


def measured(node: xr.Dataset, measure: str, estimator: str = "a") -> float:
    """Return a measure of the first chain under the first condition."""
    return float(node["value"].sel(measure=measure, estimator=estimator).isel(condition=0, chain=0))


def test_the_measures_are_those_of_slow_twins() -> None:
    """Spearman with signs and without, beyond position by regression, and the overlap of the two most important."""
    one, two = np.array([0.5, -3, 2, 1, 4, -0.2, 7, 6, 5, 0.1]), np.array([1, 2, -6, 0.4, 5, 3, 8, 0.2, 9, -1.0])
    node = similarity(toy_result({"a": [one]}), {"other": toy_result({"a": [two]})})
    assert measured(node, "spearman") == pytest.approx(stats.spearmanr(one, two).statistic)
    assert measured(node, "spearman_absolute") == pytest.approx(stats.spearmanr(abs(one), abs(two)).statistic)
    places = np.column_stack([np.ones(10), np.arange(10)])
    left = [
        ranks - places @ np.linalg.lstsq(places, ranks, rcond=None)[0]
        for ranks in (stats.rankdata(one), stats.rankdata(two))
    ]
    assert measured(node, "spearman_beyond_position") == pytest.approx(np.corrcoef(left[0], left[1])[0, 1])
    assert measured(node, "top_overlap") == len({6, 7} & {8, 6}) / 2
    assert node["top_overlap_chance"].item() == 0.2


def test_position_is_unchanged_and_undefined_beyond_itself() -> None:
    """A ranking by place is the same everywhere, and nothing is left of it once the trend is taken out."""
    places = [[0, 1, 2, 3, 4, 5]] * 3
    node = similarity(toy_result({"a": places}), {"other": toy_result({"a": places})})
    assert measured(node, "spearman") == 1
    assert node["unchanged"].item() == node["compared"].item() == 3
    beyond = node.sel(measure="spearman_beyond_position", estimator="a").isel(condition=0)
    assert beyond["undefined"].item() == 3
    assert beyond["chains_used"].item() == 0
    assert np.isnan(beyond["mean"].item())


def test_units_whose_text_changed_are_left_out() -> None:
    """The unit that is spelt otherwise does not count on either side."""
    chains = [toy_chain(text, id="one") for text in ("abcdefg", "abcXefg")]
    first = toy_result({"a": [[1, 2, 3, 99, 4, 5, 6]]}, [chains[0]])
    second = toy_result({"a": [[1, 2, 3, -99, 4, 5, 6]]}, [chains[1]])
    node = similarity(first, {"spelling": second})
    assert measured(node, "spearman") == 1
    assert node["unchanged"].item() == 1


def test_conditions_have_some_of_the_chains_and_estimators_under_other_labels() -> None:
    """Chains are matched by id and estimators by place; chains that are not there, or are too short, have no value."""
    chains = [toy_chain("abcdef", id="one"), toy_chain("ab", id="two"), toy_chain("ghijkl", id="three")]
    scores = [[1, 2, 3, 4, 5, 6], [1, 2], [6, 5, 4, 3, 2, 1]]
    reference = toy_result({"a": scores, "b:seed=0": scores}, chains)
    some = toy_result({"a": [scores[2], scores[1]], "b:seed=1": [scores[0], scores[1]]}, [chains[2], chains[1]])
    node = similarity(reference, {"other": some}).isel(condition=0).sel(measure="spearman")
    assert node["value"].sel(estimator="a").to_numpy().tolist()[2] == 1
    assert node["value"].sel(estimator="b:seed=0").to_numpy().tolist()[2] == pytest.approx(-1)
    assert np.isnan(node["value"].to_numpy()[:, :2]).all()
    assert node["undefined"].to_numpy().tolist() == [1, 1]
    assert node["compared"].to_numpy().tolist() == [1, 1]


def test_an_estimator_that_ties_all_units_is_undefined() -> None:
    """A correlation with a constant has no value, and it is counted."""
    node = similarity(toy_result({"a": [[1] * 6]}), {"other": toy_result({"a": [[2] * 6]})})
    assert node["undefined"].sel(measure="spearman").item() == 1
    assert node["unchanged"].item() == node["compared"].item() == 1


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (toy_result({"a": [[1, 2]], "b": [[1, 2]]}), "has 2 estimators, and the reference 1"),
        (toy_result({"a": [[1, 2]]}, [toy_chain("ab", id="x")]), "the chain 'x' of the result 'other' is not in"),
        (toy_result({"a": [[1, 2, 3]]}), "has 2 units in the reference and 3 in the result 'other'"),
    ],
)
def test_results_of_something_else_are_refused(other: xr.DataTree, message: str) -> None:
    """The message names the result, and the chain or the numbers that do not fit."""
    with pytest.raises(AnalysisError, match=message):
        similarity(toy_result({"a": [[1, 2]]}), {"other": other})


def test_rankings_that_are_the_same_in_part_have_changed() -> None:
    """Two units that change places are enough, and five units are enough to be compared."""
    node = similarity(toy_result({"a": [[1, 2, 3, 4, 5]]}), {"other": toy_result({"a": [[1, 2, 3, 5, 4]]})})
    assert (node["compared"].item(), node["unchanged"].item()) == (1, 0)
    short = similarity(toy_result({"a": [[1, 2, 3, 4]]}), {"other": toy_result({"a": [[1, 2, 3, 4]]})})
    assert short["compared"].item() == 0


def test_intervals_are_cut_where_a_measure_cannot_be() -> None:
    """A correlation may be negative and an overlap may not; ends lie on either side of the mean."""
    same, turned = [1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1]
    node = similarity(toy_result({"a": [same, same, turned]}), {"other": toy_result({"a": [same] * 3})})
    ends = node.sel(estimator="a").isel(condition=0)
    for measure, least in (("spearman", -1), ("top_overlap", 0)):
        assert ends["low"].sel(measure=measure).item() == least
        assert ends["high"].sel(measure=measure).item() == 1
        assert least < ends["mean"].sel(measure=measure).item() < 1


def test_chance_of_the_overlap_is_a_mean_and_one_unit_is_always_the_top() -> None:
    """Of six and of seven units at least the first one counts, by chance a sixth and a seventh."""
    first, other = [[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6, 7]], [[6, 2, 3, 4, 5, 1], [1, 2, 3, 4, 5, 6, 7]]
    node = similarity(toy_result({"a": first}), {"other": toy_result({"a": other})}, top_share=0.05)
    assert node["value"].sel(measure="top_overlap", estimator="a").isel(condition=0).to_numpy().tolist() == [0, 1]
    assert node["top_overlap_chance"].item() == pytest.approx((1 / 6 + 1 / 7) / 2)


def test_nothing_in_common_and_constants_make_no_noise() -> None:
    """Without a unit that is spelt the same there is no chance; one constant ranking has no correlation."""
    chains = [toy_chain(text, id="one") for text in ("abcdef", "ABCDEF")]
    row = [[1, 2, 3, 4, 5, 6]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        apart = similarity(toy_result({"a": row}, chains[:1]), {"other": toy_result({"a": row}, chains[1:])})
        flat = similarity(toy_result({"a": row}), {"other": toy_result({"a": [[1] * 6]})})
    assert np.isnan(apart["top_overlap_chance"].item())
    assert apart["compared"].item() == 0
    assert flat["undefined"].sel(measure="spearman").item() == 1
