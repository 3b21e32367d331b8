"""Numbers of a result as text: means with their intervals, and how many chains they are over."""

from __future__ import annotations

import numpy as np
import xarray as xr

from tokimp.chains.arrays import FloatArray, IntArray

FEWEST_FOR_AN_INTERVAL = 5
"""An interval over fewer chains is not shown: so few say nothing about others."""


def interval_text(mean: float, low: float, high: float, n_values: int) -> str:
    """Return a mean with its interval.

    The interval is left out if it is not finite, or if the mean is over fewer than five values.
    """
    if not np.isfinite(low) or few_chains(n_values):
        return number_text(mean)
    # No space within the brackets: on a narrow terminal the interval goes below the mean in one piece.
    return f"{number_text(mean)} [dim]\\[{number_text(low)},{number_text(high)}][/]"


def interval_of(node: xr.Dataset, name: str = "", n_values: int | None = None) -> str:
    """Return a mean from the node of an analysis with its interval, as `interval_text` writes it.

    Parameters
    ----------
    node
        The node, reduced to the one mean that is wanted: its variables have no dimension left.
    name
        What the mean is of. The mean is the variable ``NAME_mean``, or ``NAME`` if there is none. Its interval goes
        from ``NAME_low`` to ``NAME_high``. With an empty name these are ``mean``, ``low`` and ``high``.
    n_values
        The number of values that the mean is over; the node's ``chains_used`` by default.
    """
    count = int(node["chains_used"]) if n_values is None else n_values
    prefix = f"{name}_" if name else ""
    mean = f"{prefix}mean" if f"{prefix}mean" in node else name
    value, low, high = (float(node[variable]) for variable in (mean, f"{prefix}low", f"{prefix}high"))
    return interval_text(value, low, high, count)


def few_chains(n_chains: int) -> bool:
    """Return whether these are too few chains for an interval: so few say nothing about others."""
    return n_chains < FEWEST_FOR_AN_INTERVAL


def shown_ends(low: FloatArray, high: FloatArray, n_values: FloatArray | IntArray) -> tuple[FloatArray, FloatArray]:
    """Return the ends of intervals as figures show them: NaN where a mean is over too few chains.

    Parameters
    ----------
    low, high
        The ends, of any shape.
    n_values
        The numbers of chains that the means are over, of the same shape.
    """
    enough = np.asarray(n_values) >= FEWEST_FOR_AN_INTERVAL
    return np.where(enough, low, np.nan), np.where(enough, high, np.nan)


def mean_text(confidence: float, n_values: int) -> str:
    """Return the words in a title that say what a table shows: means, with intervals if there are enough chains."""
    return "mean over chains" if few_chains(n_values) else f"mean, {confidence:.0%} interval over chains"


def chains_text(n_chains: int, confidence: float) -> str:
    """Return the words in a title that say how many chains a figure is about, and whether it has intervals."""
    if few_chains(n_chains):
        return f"{n_chains} chain{'' if n_chains == 1 else 's'}, too few for intervals"
    return f"{n_chains} chains, {confidence:.0%} intervals"


def number_text(value: float) -> str:
    """Return a number with two decimals; a dash if it is not finite."""
    # Adding 0 after rounding turns a negative zero into zero.
    return f"{round(value, 2) + 0.0:.2f}" if np.isfinite(value) else "-"
