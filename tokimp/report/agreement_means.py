"""The two sets of means that figures and summaries of agreement show: as it is, and beyond place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xarray as xr

from tokimp.chains.arrays import FloatArray
from tokimp.report.agreement_texts import WITH_POSITION
from tokimp.report.conclusions import LEVEL
from tokimp.report.number_texts import few_chains

_ALIKE = 1e-9


@dataclass(frozen=True, slots=True)
class Means:
    """Mean agreement of every two estimators.

    Attributes
    ----------
    name
        What the means are: ``as it is``, ``beyond place``.
    mean, low, high
        Means and ends of their intervals, [estimator, other]; NaN where there are none.
    is_told
        Whether a mean is told from chance, [estimator, other].
    chance
        The mean that chance gives.
    rule
        How a mean is told from chance, as the words after *White:* in a figure's foot.
    n_chains
        The most chains that a mean is over.
    """

    name: str
    mean: FloatArray
    low: FloatArray
    high: FloatArray
    is_told: npt.NDArray[np.bool_]
    chance: float
    rule: str
    n_chains: int


def agreement_means(cells: xr.Dataset) -> tuple[Means, Means]:
    """Return the means as they are, and those beyond place.

    Where agreement beyond place is not known, as in a result of an older version or of one question, the second are
    those with position partialled out.

    Parameters
    ----------
    cells
        The part of an agreement's node for one measure.
    """
    as_it_is = _of_partial(cells, partial=False)
    if "beyond_place_mean" not in cells or not bool(cells["beyond_place_mean"].notnull().any()):
        return as_it_is, _of_partial(cells, partial=True)
    mean, low, high, p_values = (
        cells[name].transpose("estimator", "other").to_numpy()
        for name in ("beyond_place_mean", "beyond_place_low", "beyond_place_high", "p_corrected")
    )
    by_interval = (low > 0) | (high < 0)
    told = np.where(np.isfinite(p_values), p_values < LEVEL, by_interval)
    n_chains = int(cells["beyond_place_chains"].max())
    rule = f"corrected p of {LEVEL:g} or more"
    return as_it_is, Means("beyond place", mean, low, high, told, 0.0, rule, n_chains)


def _of_partial(cells: xr.Dataset, *, partial: bool) -> Means:
    part = cells.sel(partial=partial)
    chance = cells["chance_mean"]
    # A result of an older version had one chance for both.
    by_chance = float(chance.sel(partial=partial) if "partial" in chance.dims else chance)
    mean, low, high = (part[name].transpose("estimator", "other").to_numpy() for name in ("mean", "low", "high"))
    told = (low > by_chance) | (high < by_chance)
    # Values that are the same on all chains, such as those of two estimators that rank alike, have no interval.
    spread = (part["value"].max("chain") - part["value"].min("chain")).transpose("estimator", "other").to_numpy()
    told |= np.isnan(low) & (spread < _ALIKE) & (np.abs(mean - by_chance) > _ALIKE)
    used = int(part["chains_used"].max())
    return Means(
        WITH_POSITION[partial], mean, low, high, told, by_chance, f"the interval includes {by_chance:.2g}", used
    )


def has_intervals(means: Means) -> bool:
    """Return whether means rest on enough chains for intervals."""
    return not few_chains(means.n_chains)
