"""The recovery curve of a set of chains, its two areas, and how they differ from other orders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.integrate import trapezoid

from tokimp.analysis.statistics.intervals import MeanInterval, jackknife_interval, mean_p_value
from tokimp.chains.arrays import FloatArray

AREAS = ("cpr", "cmd")


@dataclass(frozen=True, slots=True)
class AreaDifference:
    """An area, or a difference of areas, with its interval and the p-value of none."""

    interval: MeanInterval
    p_value: float


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

    def difference(
        self, area: str, kept: FloatArray, others: Sequence[FloatArray], confidence: float
    ) -> AreaDifference:
        """Return an area minus the mean area of other orders, with what leaving out each chain in turn says of it.

        Parameters
        ----------
        area
            One of `AREAS`.
        kept
            The measure with the most important units kept, [share, chain].
        others
            The same with the units that other orders put first; without any, the area itself is returned.
        confidence
            Confidence of the interval.
        """
        row, n_chains = AREAS.index(area), len(self.full)

        def statistic(weights: FloatArray) -> FloatArray:
            values: FloatArray = self.areas(kept, weights)[row]
            if len(others):
                values = values - np.mean([self.areas(other, weights)[row] for other in others], axis=0)
            return values

        value = float(statistic(np.ones((1, n_chains)))[0])
        low, high = jackknife_interval(statistic, n_chains, confidence=confidence)
        without = statistic(1 - np.eye(n_chains)) if n_chains > 1 else np.array([np.nan])
        pseudo_values = n_chains * value - (n_chains - 1) * without
        # The pseudo-values' own mean has a bias, of which the interval is free too.
        p_value = mean_p_value(pseudo_values - pseudo_values.mean() + value) if np.isfinite(without).all() else np.nan
        return AreaDifference(MeanInterval(value, low, high), p_value)
