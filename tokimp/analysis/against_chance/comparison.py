"""Values of estimators beside those of random orders and of position, as variables of an analysis's node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tokimp.analysis.statistics.intervals import UNBOUNDED, mean_p_values, mean_variables
from tokimp.chains.arrays import FloatArray

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A number of each estimator on each chain, and the same number of other orders of the chain's units.

    Attributes
    ----------
    value
        [..., estimator, chain]; NaN where it is not defined.
    position
        That of the order of places, [..., chain], or [..., estimator, chain] if it depends on the estimator.
    uniform
        That of random orders, [..., draw, chain], or [..., estimator, draw, chain].
    """

    value: FloatArray
    position: FloatArray
    uniform: FloatArray

    @classmethod
    def of_rows(cls, rows: FloatArray, n_estimators: int) -> Comparison:
        """Return the comparison of numbers of all rows of `ChainOrders`, [..., row, chain]."""
        return cls(rows[..., :n_estimators, :], rows[..., n_estimators, :], rows[..., n_estimators + 1 :, :])

    def variables(
        self,
        dims: tuple[str, ...],
        confidence: float,
        prefix: str = "",
        bounds: tuple[float, float] = UNBOUNDED,
    ) -> dict[str, Any]:
        """Return the numbers, their means over chains, and the mean differences with their intervals.

        ``above_uniform`` is the value minus the mean of the random orders of the same chain, ``above_position`` the
        value minus that of position. Chains are independent, and both differences are taken within a chain; so their
        intervals and p-values (not corrected) say what is told from chance.

        Parameters
        ----------
        dims
            Names of the dimensions before the last two of `value`.
        confidence
            Confidence of the intervals, between 0 and 1.
        prefix
            Put before the names of all variables.
        bounds
            Least and greatest possible value; the intervals of the values are cut there.
        """
        estimator, own = (*dims, "estimator"), self._references_are_own
        position = self.position if own else np.expand_dims(self.position, -2)
        uniform = self.uniform if own else np.expand_dims(self.uniform, -3)
        differences = {"position": self.value - position, "uniform": self.value - uniform.mean(axis=-2)}
        known = ~np.isnan(self.value)
        # Over the chains that the estimator has a value on, so that the three means are of the same chains.
        position = np.where(known, np.broadcast_to(position, known.shape), np.nan)
        draws = np.where(known[..., None, :], uniform, np.nan)
        by_draw = _mean_of_known(draws)
        has_draws = known.any(axis=-1)
        reference = estimator if own else dims
        variables: dict[str, Any] = {
            f"{prefix}value": ((*estimator, "chain"), self.value),
            **mean_variables(estimator, self.value, confidence, prefix, bounds),
            f"{prefix}chains_used": (estimator, known.sum(axis=-1)),
            f"{prefix}position_value": ((*reference, "chain"), self.position),
            f"{prefix}position_mean": (estimator, _mean_of_known(position)),
            f"{prefix}uniform_value": ((*reference, "draw", "chain"), self.uniform),
            f"{prefix}uniform_mean": (estimator, by_draw.mean(axis=-1)),
            f"{prefix}uniform_low": (estimator, np.where(has_draws, by_draw.min(axis=-1), np.nan)),
            f"{prefix}uniform_high": (estimator, np.where(has_draws, by_draw.max(axis=-1), np.nan)),
        }
        for name, difference in differences.items():
            variables[f"{prefix}above_{name}"] = ((*estimator, "chain"), difference)
            variables |= mean_variables(estimator, difference, confidence, f"{prefix}above_{name}_")
            variables[f"{prefix}above_{name}_p"] = (estimator, mean_p_values(difference))
        return variables

    @property
    def _references_are_own(self) -> bool:
        return self.position.ndim == self.value.ndim


def undefined_variables(
    dims: tuple[str, ...], value: FloatArray, is_silent: BoolArray, reasons: Mapping[str, BoolArray]
) -> dict[str, Any]:
    """Return how many chains an estimator has no value on, by reason, as variables of a node.

    A chain counts under the first reason that holds. Together with ``chains_used`` the numbers add up to all chains.

    Parameters
    ----------
    dims
        Names of the dimensions before the last two of `value`.
    value
        [..., estimator, chain]
    is_silent
        Whether an estimator says nothing of a chain, [estimator, chain].
    reasons
        Whether a reason holds, by its text, in the shape of `value` or one that is broadcast to it.

    Raises
    ------
    AssertionError
        If a value is missing without a reason, which is a mistake of the analysis.
    """
    silent = np.broadcast_to(is_silent, value.shape)
    unexplained = np.isnan(value) & ~silent
    counts = []
    for holds in reasons.values():
        here = unexplained & np.broadcast_to(holds, value.shape)
        counts.append(here.sum(axis=-1))
        unexplained &= ~here
    if unexplained.any():
        raise AssertionError(f"{int(unexplained.sum())} values are missing and no reason of {list(reasons)} holds")
    return {
        "chains_absent": ("estimator", is_silent.sum(axis=-1)),
        "undefined": (("reason", *dims, "estimator"), np.stack(counts)),
        "reason": np.array(list(reasons), dtype=object),
    }


def _mean_of_known(values: FloatArray) -> FloatArray:
    """Return the mean over the chains that have a value, [...], of values, [..., chain]; NaN where none has."""
    count = (~np.isnan(values)).sum(axis=-1)
    means: FloatArray = np.where(count > 0, np.nansum(values, axis=-1) / np.maximum(count, 1), np.nan)
    return means
