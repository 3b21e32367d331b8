"""Numbers as text: means with intervals, where there are enough chains for one."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from rich.text import Text

from tokimp.report.number_texts import chains_text, interval_of, interval_text, mean_text, number_text, shown_ends


@pytest.mark.parametrize(
    ("value", "text"), [(0.125, "0.12"), (-0.001, "0.00"), (2, "2.00"), (np.nan, "-"), (np.inf, "-")]
)
def test_numbers_have_two_decimals_or_are_a_dash(value: float, text: str) -> None:
    """A negative zero is a zero, and what is not finite is a dash."""
    assert number_text(value) == text


@pytest.mark.parametrize(
    ("low", "n_values", "text"),
    [(0.1, 5, "0.25 [0.10,0.40]"), (0.1, 4, "0.25"), (np.nan, 9, "0.25")],
)
def test_an_interval_needs_five_values(low: float, n_values: int, text: str) -> None:
    """Under five values, or without an interval, the mean stands alone."""
    assert Text.from_markup(interval_text(0.25, low, 0.4, n_values)).plain == text


def test_an_interval_is_read_off_a_node_by_name() -> None:
    """The mean is ``NAME_mean``, or ``NAME``, or ``mean``; its ends and the number of chains stand beside it."""
    ends = {"low": 0.1, "high": 0.3, "area_low": 1.1, "area_high": 1.3, "share_low": 2.1, "share_high": 2.3}
    node = xr.Dataset({"mean": 0.2, "area_mean": 1.2, "share": 2.2, "chains_used": 5, **ends})
    shown = [Text.from_markup(interval_of(node, name)).plain for name in ("", "area", "share")]
    assert shown == ["0.20 [0.10,0.30]", "1.20 [1.10,1.30]", "2.20 [2.10,2.30]"]
    assert interval_of(node, n_values=2) == "0.20"


@pytest.mark.parametrize(
    ("n_chains", "title", "note"),
    [
        (1, "mean over chains", "1 chain, too few for intervals"),
        (4, "mean over chains", "4 chains, too few for intervals"),
        (5, "mean, 90% interval over chains", "5 chains, 90% intervals"),
    ],
)
def test_titles_promise_no_more_than_there_is(n_chains: int, title: str, note: str) -> None:
    """Titles of tables and figures speak of intervals only if there are any."""
    assert mean_text(0.9, n_chains) == title
    assert chains_text(n_chains, 0.9) == note


def test_figures_show_no_ends_over_few_chains() -> None:
    """Ends of an interval over fewer than five chains are left out, each row by its own count."""
    low, high = shown_ends(np.array([0.1, 0.2]), np.array([0.3, 0.4]), np.array([4, 5]))
    assert np.isnan([low[0], high[0]]).all()
    assert (low[1], high[1]) == (0.2, 0.4)
