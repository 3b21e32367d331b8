"""Numbers beside those of random orders and of position: means over the same chains, and counts of what is missing."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from tokimp.analysis.against_chance.comparison import Comparison, undefined_variables
from tokimp.analysis.statistics.intervals import mean_interval

VALUE = np.array([[1.0, 2.0, 4.0], [np.nan, 1.0, 0.0]])
POSITION = np.array([0.5, 1.0, 3.0])
UNIFORM = np.array([[0.0, 2.0, 1.0], [1.0, 0.0, 3.0]])


def dataset(compared: Comparison, dims: tuple[str, ...] = ()) -> xr.Dataset:
    """Return the variables as a dataset."""
    return xr.Dataset(compared.variables(dims, 0.95))


def test_means_and_differences_are_over_the_chains_that_an_estimator_has() -> None:
    """References are averaged over the estimator's own chains, and differences taken within a chain."""
    found = dataset(Comparison(VALUE, POSITION, UNIFORM))
    assert found["chains_used"].to_numpy().tolist() == [3, 2]
    assert found["mean"].to_numpy() == pytest.approx([7 / 3, 0.5])
    assert found["position_mean"].to_numpy() == pytest.approx([1.5, 2.0])
    # Means of the draws are 1 and 4/3 over all chains, and 1.5 and 1.5 over the last two.
    assert found["uniform_low"].to_numpy() == pytest.approx([1.0, 1.5])
    assert found["uniform_high"].to_numpy() == pytest.approx([4 / 3, 1.5])
    differences = VALUE - UNIFORM.mean(axis=0)
    np.testing.assert_allclose(found["above_uniform"], differences)
    for row in range(2):
        interval = mean_interval(differences[row])
        names = ("above_uniform_mean", "above_uniform_low", "above_uniform_high")
        np.testing.assert_allclose([found[name][row] for name in names], [interval.mean, interval.low, interval.high])
    np.testing.assert_allclose(found["above_position_mean"], [5 / 6, -1.5])


def test_references_that_are_an_estimator_s_own_give_the_same_numbers() -> None:
    """The same references repeated for each estimator change nothing but their dimension."""
    shared = dataset(Comparison(VALUE, POSITION, UNIFORM))
    own = dataset(Comparison(VALUE, np.stack([POSITION] * 2), np.stack([UNIFORM] * 2)))
    assert own["uniform_value"].dims == ("estimator", "draw", "chain")
    for name in shared.data_vars:
        if name not in {"position_value", "uniform_value"}:
            np.testing.assert_allclose(shared[name], own[name], err_msg=str(name))


def test_an_estimator_without_any_value_has_no_numbers() -> None:
    """All its means are NaN, those of the references too."""
    found = dataset(Comparison(np.full((1, 3), np.nan), POSITION, UNIFORM))
    for name, variable in found.data_vars.items():
        if variable.dims == ("estimator",) and variable.dtype.kind == "f":
            assert np.isnan(variable).all(), name


def test_missing_values_are_counted_by_the_first_reason_that_holds() -> None:
    """One chain is silent, one has two reasons and counts under the first, one has a value although a reason holds."""
    value = np.array([[[np.nan, np.nan, 1.0, np.nan]]])
    reasons = {"first": np.array([True, True, True, False]), "second": np.array([True, True, False, True])}
    silent = np.array([[True, False, False, False]])
    found = undefined_variables(("operator",), value, silent, reasons)
    assert found["undefined"][1].tolist() == [[[1]], [[1]]]
    assert found["chains_absent"][1].tolist() == [1]
    assert found["reason"].tolist() == ["first", "second"]


def test_a_value_that_is_missing_for_no_reason_is_a_mistake() -> None:
    """An analysis that forgets a reason hears of it."""
    with pytest.raises(AssertionError, match="1 values are missing"):
        undefined_variables((), np.array([[np.nan]]), np.array([[False]]), {"never": np.array([False])})


def test_rows_are_estimators_then_position_then_random_orders() -> None:
    """Of five rows, two are of estimators, the next is position, and the last two are random orders."""
    rows = np.arange(15.0).reshape(5, 3)
    compared = Comparison.of_rows(rows, 2)
    np.testing.assert_array_equal(compared.value, rows[:2])
    np.testing.assert_array_equal(compared.position, rows[2])
    np.testing.assert_array_equal(compared.uniform, rows[3:])


def test_means_of_random_orders_are_over_draws_and_of_the_chains_that_are_there() -> None:
    """Of one chain alone, means of position and of random orders are what they are on this chain."""
    found = dataset(Comparison(np.array([[1.0, 2.0, 4.0], [np.nan, np.nan, 0.0]]), POSITION, UNIFORM))
    assert found["uniform_mean"].to_numpy() == pytest.approx([7 / 6, 2.0])
    assert found["position_mean"].to_numpy() == pytest.approx([1.5, 3.0])
    assert [found[f"uniform_{end}"].to_numpy()[1] for end in ("low", "high")] == [1.0, 3.0]


def test_one_value_without_a_reason_among_several_is_a_mistake() -> None:
    """That others are explained does not excuse it."""
    with pytest.raises(AssertionError, match="1 values are missing"):
        undefined_variables(
            (), np.array([[np.nan, np.nan]]), np.array([[False, False]]), {"x": np.array([True, False])}
        )
