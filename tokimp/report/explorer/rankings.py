"""Estimators' rankings of one chain's units, compared pair by pair."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from tokimp.chains.arrays import FloatArray


@dataclass(frozen=True, slots=True)
class FarApart:
    """A unit that two estimators place far apart: its chain's index, its own, its text, and both places from 0 to 1."""

    chain: int
    unit: int
    text: str
    places: tuple[float, float]

    @property
    def distance(self) -> float:
        """The difference of the places."""
        return abs(self.places[0] - self.places[1])


def pair_correlations(placed: FloatArray) -> FloatArray:
    """Return the Spearman correlation of every two estimators, [pair]; NaN where it is not defined.

    Parameters
    ----------
    placed
        Places of units, [estimator, unit], as `tokimp.report.places.unit_places` gives them. Pairs are in the order
        (0, 1), (0, 2), ..., (1, 2), ...
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        correlations = (
            np.atleast_2d(np.corrcoef(placed)) if placed.shape[1] > 1 else np.full((len(placed),) * 2, np.nan)
        )
    return np.array([correlations[one, other] for one, other in combinations(range(len(placed)), 2)], dtype=np.float64)
