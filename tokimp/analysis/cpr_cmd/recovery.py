"""The recovery curve of a set of chains, its two areas, and how they differ from other orders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.integrate import trapezoid

from tokimp.analysis.statistics.intervals import MeanInterval, jackknife_interval
from tokimp.chains.arrays import FloatArray

AREAS = ("cpr", "cmd")


@dataclass(frozen=True, slots=True)
class Recovery:
    """What chains recover of the difference that their reasoning makes, by one operator.

    Attributes
    ----------
    shares
        Shares of units kept, ascending, [share].
    empty, full
        The measure without any reasoning, and with all of it, [chain].
    """

    shares: FloatArray
    empty: FloatArray
    full: FloatArray

    def curve(self, kept: FloatArray, weights: FloatArray) -> FloatArray:
        """Return the ratio of the mean recovered to the mean that there is to recover, [draw, share].

        Parameters
        ----------
        kept
            The measure with the most important units kept, [share, chain].
        weights
            How often each chain counts, [draw, chain].

        Returns
        -------
        FloatArray
            NaN for a draw in which the reasoning does not raise the measure.
        """
        there = weights @ (self.full - self.empty)
        there = np.where(there > 0, there, np.nan)
        recovered: FloatArray = (weights @ (kept - self.empty).T) / there[:, None]
        return recovered

    def areas(self, kept: FloatArray, weights: FloatArray) -> FloatArray:
        """Return CPR and CMD, [area, draw]: the area below the curve, and that between it and 1."""
        curve = self.curve(kept, weights)
        below: FloatArray = trapezoid(curve, self.shares, axis=-1)
        beside: FloatArray = trapezoid(np.abs(1 - curve), self.shares, axis=-1)
        return np.stack([below, beside])

    def compare(
        self, area: str, kept: FloatArray, others: Sequence[FloatArray], confidence: float
    ) -> tuple[MeanInterval, MeanInterval]:
        """Return an area, and its difference from the mean area of other orders, with jackknife intervals over chains.

        Parameters
        ----------
        area
            One of `AREAS`.
        kept
            The measure with the most important units kept, [share, chain].
        others
            The same with the units that other orders put first.
        confidence
            Confidence of the intervals.
        """
        row, n_chains = AREAS.index(area), len(self.full)

        def own(weights: FloatArray) -> FloatArray:
            value: FloatArray = self.areas(kept, weights)[row]
            return value

        def difference(weights: FloatArray) -> FloatArray:
            value: FloatArray = own(weights) - np.mean([self.areas(other, weights)[row] for other in others], axis=0)
            return value

        together = np.ones((1, n_chains))
        intervals = []
        for statistic in (own, difference):
            low, high = jackknife_interval(statistic, n_chains, confidence=confidence)
            intervals.append(MeanInterval(float(statistic(together)[0]), low, high))
        return intervals[0], intervals[1]
