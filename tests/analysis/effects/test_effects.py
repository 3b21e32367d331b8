"""What units do to each other: by hand on small matrices, and as tables and figure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rich.console import Console
from rich.table import Table
from scipy.stats import rankdata, spearmanr

import tokimp as ti
from tokimp.analysis.effects.effects import Effects
from tokimp.analysis.effects.numbers import distance_shares, passed_on, spearman_of_pairs
from tokimp.analysis.effects.pairs import largest_differences, largest_effects
from tokimp.contracts.estimator import Importance
from tokimp.errors import AnalysisError
from tokimp.results.analysis_nodes import analysis_node
from tokimp.testing import toy_chain
from tokimp.testing.toy_result import toy_result

MATRIX = np.array(
    [[0, 4, 1, 0, 0], [0, 0, -2, 0, 0.5], [0, 0, 0, 1, 0], [0, 0, 0, 0, 3], [0, 0, 0, 0, 0]], dtype=np.float64
)
ON_ANSWER = np.array([0.0, -1.0, 2.0, 0.0, 6.0])


def result(matrices: Sequence[np.ndarray] = (MATRIX, 2 * MATRIX)) -> xr.DataTree:
    """Return a result of one chain, in which each estimator has one of some matrices."""
    chain = toy_chain("a b c d e", unit="word", id="letters")
    rows = {
        f"method{index}": [Importance(np.zeros(5), effects=matrix, effects_on_answer=ON_ANSWER)]
        for index, matrix in enumerate(matrices)
    }
    return toy_result({**rows, "plain": [Importance(np.zeros(5))]}, [chain])


def node_of(analyzed: xr.DataTree) -> xr.Dataset:
    """Return the node of the first method."""
    return analysis_node(analyzed, "effects").sel(effect_estimator="method0")


def text_of(table: Table) -> str:
    """Return a table as text."""
    console = Console(width=300)
    with console.capture() as captured:
        console.print(table)
    return captured.get()


def test_what_units_send_and_receive_by_hand() -> None:
    """Absolute effects are added up along rows and columns, and repeated on each token of the unit."""
    node = node_of(ti.analyze(result(), "effects"))
    firsts = [0, 1, 3, 5, 7]  # a word and the space before it
    assert node["sent"].to_numpy()[firsts].tolist() == [5, 2.5, 1, 3, 0]
    assert node["received"].to_numpy()[firsts].tolist() == [0, 4, 3, 1, 3.5]
    assert node["on_answer"].to_numpy()[firsts].tolist() == [0, -1, 2, 0, 6]
    assert node["sent"].to_numpy()[1] == node["sent"].to_numpy()[2]


def test_what_passes_through_others_by_hand() -> None:
    """Each later unit passes its effect on the answer back to the units that it depends on, in proportion."""
    node = node_of(ti.analyze(result(), "effects"))
    expected = [1 * 1 + 2 * 1 / 3, 2 * 2 / 3 + 6 * 0.5 / 3.5, 0, 6 * 3 / 3.5, 0]
    np.testing.assert_allclose(node["through_others"].to_numpy()[[0, 1, 3, 5, 7]], expected, rtol=1e-6)
    shares = [1, expected[1] / (expected[1] + 1), 0, 1, 0]
    np.testing.assert_allclose(node["through_share"].to_numpy()[[0, 1, 3, 5, 7]], shares, rtol=1e-6)
    assert node["mostly_through_others"].item() == pytest.approx(3 / 5)
    direct = np.abs(ON_ANSWER)
    assert node["path_agreement"].item() == pytest.approx(spearmanr(direct, direct + expected).statistic)


@given(arrays(np.float64, (6, 6), elements=st.floats(-5, 5)), arrays(np.float64, 6, elements=st.floats(-5, 5)))
def test_all_that_a_unit_receives_is_passed_on(matrix: np.ndarray, on_answer: np.ndarray) -> None:
    """What all units pass on adds up to the effects on the answer of the units that depend on something."""
    upper = np.triu(matrix, k=1)
    depends = np.abs(upper).sum(axis=0) > 0
    assert passed_on(upper, on_answer).sum() == pytest.approx(np.abs(on_answer)[depends].sum())


def test_how_far_effects_reach_by_hand() -> None:
    """Shares of absolute effects by distance add up to 1; without effects there are none."""
    np.testing.assert_allclose(distance_shares(MATRIX), [10 / 11.5, 1.5 / 11.5, 0, 0])
    assert np.isnan(distance_shares(np.zeros((3, 3)))).all()
    assert node_of(ti.analyze(result(), "effects"))["pair_share"].to_numpy().tolist() == [0.4, 0.6, 0, 0]


def test_two_methods_agree_as_their_ranks_do() -> None:
    """The correlation is Spearman's over all pairs; given the distance, that of the residuals of the ranks."""
    rows, columns = np.triu_indices(5, k=1)
    other = MATRIX.T[::-1, ::-1]
    plain, _ = spearman_of_pairs(MATRIX, other)
    assert plain == pytest.approx(spearmanr(MATRIX[rows, columns], other[rows, columns]).statistic)
    assert spearman_of_pairs(MATRIX, 2 * MATRIX) == pytest.approx((1, 1))
    distance = np.log(columns - rows)
    ranks = [rankdata(matrix[rows, columns]) for matrix in (MATRIX, other)]
    residuals = [each - np.polyval(np.polyfit(distance, each, 1), distance) for each in ranks]
    assert spearman_of_pairs(MATRIX, other)[1] == pytest.approx(np.corrcoef(residuals[0], residuals[1])[0, 1])
    assert np.isnan(spearman_of_pairs(MATRIX, np.zeros((5, 5)))).all()


def test_agreement_is_symmetric_and_leaves_out_short_chains() -> None:
    """Both halves hold the same numbers; a chain of fewer units than asked for has none."""
    agreement = analysis_node(ti.analyze(result([MATRIX, MATRIX.T[::-1, ::-1]]), "effects"), "effects")["agreement"]
    np.testing.assert_array_equal(agreement, agreement.transpose("partial", "other", "effect_estimator", "chain"))
    assert agreement.sel(partial=False, effect_estimator="method0", other="method0").item() == pytest.approx(1)
    short = analysis_node(ti.analyze(result(), "effects", minimum_units=6), "effects,minimum_units=6")
    assert not short["chains_used"].any()


def test_the_pairs_to_look_at() -> None:
    """The strongest effects are the largest in size, the differences those of two methods; neighbours are left out."""
    found = largest_effects(result(), "method0", count=2, apart=2)
    assert [(pair.texts, pair.apart, pair.values) for pair in found] == [
        (("a", " c"), 2, (1.0,)),
        ((" b", " e"), 3, (0.5,)),
    ]
    other = MATRIX.copy()
    other[0, 3] = -7
    (pair,) = largest_differences(result([MATRIX, other]), "method0", "method1", count=1, apart=1)
    assert (pair.chain_id, pair.texts, pair.values) == ("letters", ("a", " d"), (0.0, -7.0))
    assert largest_differences(result(), "method0", "method0", count=3, apart=1) == []


def test_tables_and_figure_show_the_numbers() -> None:
    """The tables name units and methods, and the figure has a matrix for each method and one panel of distances."""
    analyzed = ti.analyze(result([MATRIX, MATRIX.T[::-1, ::-1]]), "effects")
    analysis = Effects()
    reach, strongest, differ = map(text_of, analysis.tables(analyzed))
    assert "0.87" in reach
    assert "method0" in strongest
    assert "method0 / method1" in differ
    figure = analysis.figure(analyzed)
    titles = [axis.get_title(loc="left") for axis in figure.axes]
    assert titles[0] == "method0"
    assert "method1" in titles
    figure.draw_without_rendering()
    assert len(analysis.tables(ti.analyze(result([MATRIX]), "effects"))) == 2


def test_a_result_without_effects_is_refused() -> None:
    """The message says how to get some."""
    with pytest.raises(AnalysisError, match="leave_one_out:effects=true"):
        ti.analyze(result([]), "effects")


def test_effects_below_a_threshold_tie() -> None:
    """Effects of the named estimator are cut to multiples of the threshold; the others' stay, and the foot says so."""
    analysis = Effects(tie_threshold=2.0, tie_estimators=["method0"])
    analyzed = ti.analyze(result((MATRIX, MATRIX)), analysis)
    node = analysis_node(analyzed, "effects")
    cut, whole = (node.sel(effect_estimator=f"method{index}") for index in range(2))
    firsts = [0, 1, 3, 5, 7]
    assert cut["sent"].to_numpy()[firsts].tolist() == [4, 2, 0, 2, 0]
    assert whole["sent"].to_numpy()[firsts].tolist() == [5, 2.5, 1, 3, 0]
    assert cut["on_answer"].to_numpy()[firsts].tolist() == [0, 0, 2, 0, 6]
    assert (cut["tied"].item(), whole["tied"].item()) == (0.7, 0.6)
    assert "less than 2 nats by method0 tie; tied units: 70% of method0, 60% of method1" in text_of(
        analysis.tables(analyzed)[0]
    )


def test_an_estimator_without_effects_cannot_have_them_tied() -> None:
    """The message names it, and those that have effects."""
    with pytest.raises(AnalysisError, match=r"'plain' does not say what units do.*name any of method0, method1"):
        ti.analyze(result(), "effects", tie_threshold=0.5, tie_estimators=["plain"])


def test_a_share_of_units_has_an_interval_of_shares() -> None:
    """The wide interval of two chains is cut at 0 and 1."""
    chains = [toy_chain("a b c d e", unit="word", id=name, question=name) for name in ("one", "two")]
    none = np.triu(np.ones((5, 5)), k=1)
    rows = [
        Importance(np.zeros(5), effects=effects, effects_on_answer=on_answer)
        for effects, on_answer in ((MATRIX, ON_ANSWER), (none, np.array([9.0, 9, 9, 9, 0.1])))
    ]
    analyzed = ti.analyze(toy_result({"method0": rows}, chains), "effects")
    node = node_of(analyzed)
    assert 0 < node["mostly_through_others_mean"].item() < 1
    assert node["mostly_through_others_low"].item() == 0
    assert node["mostly_through_others_high"].item() == 1
