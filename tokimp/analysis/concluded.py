"""The last sentence of an analysis's table: what its values say of chance, computed from the values of chains."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tokimp.analysis.statistics.intervals import mean_interval, mean_p_values
from tokimp.analysis.statistics.multiplicity import holm, smallest_found
from tokimp.chains.arrays import FloatArray
from tokimp.report.conclusions import LEVEL, Estimate, conclusion
from tokimp.report.number_texts import FEWEST_FOR_AN_INTERVAL, few_chains, number_text


def concluded(names: Sequence[str], values: FloatArray, what: str, chance: FloatArray | float = 0.0) -> str:
    """Return what means over chains say of chance: which are told from it, which not, and what so many chains show.

    Each mean has Student's t test, corrected for all of them (Holm), and what as many chains find with probability 0.8
    is said for the mean whose values vary as most do.

    Parameters
    ----------
    names
        What each row is called in the table.
    values
        [row, chain]; NaN where there is none.
    what
        What the values are: ``gain over random orders``.
    chance
        What they would be by chance: one number, or one a chain.
    """
    differences = values - chance
    n_chains = (~np.isnan(differences)).sum(axis=-1)
    # Few chains tell nothing, whatever their p-value: they are not tested, and the others not corrected for them.
    corrected = holm(np.where(n_chains < FEWEST_FOR_AN_INTERVAL, np.nan, mean_p_values(differences)))
    estimates = []
    for name, row, difference, p_value in zip(names, values, differences, corrected, strict=True):
        interval = mean_interval(difference)
        known = row[~np.isnan(difference)]
        shift = float(known.mean()) - interval.mean if len(known) else np.nan
        ends = (interval.low + shift, interval.high + shift)
        estimates.append(Estimate(name, interval.mean + shift, *ends, shift, p_value, len(known)))
    tests = sum(np.isfinite(estimate.p_value) for estimate in estimates)
    correction = f"Holm over {tests} tests" if tests > 1 else "one test"
    said = conclusion(estimates, what, correction=correction)
    found = [smallest_found(row, level=LEVEL / max(1, tests)) for row in differences]
    most = max((estimate.n_chains for estimate in estimates), default=0)
    if few_chains(most) or not np.isfinite(found).any():
        return said
    return f"{said} {most} chains show a difference of {number_text(float(np.nanmedian(found)))} with probability 0.8."
