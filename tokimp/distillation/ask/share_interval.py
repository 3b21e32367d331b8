"""The interval around a share of right answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

Interval = Literal["wilson", "bootstrap"]
INTERVALS: tuple[Interval, ...] = get_args(Interval)


def share_interval(
    right: Sequence[bool], *, interval: Interval = "wilson", confidence: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Return the interval of a share.

    If all answers are right, or none is, the bootstrap knows no spread, and its interval is the share itself.

    Parameters
    ----------
    right
        For each answer whether it is right.
    interval
        ``wilson`` (in closed form) or ``bootstrap`` (bias-corrected and accelerated).
    confidence
        How much of the distribution the interval covers, between 0 and 1.
    seed
        Of the bootstrap.

    Returns
    -------
    tuple of float
        The lower and the upper end.

    Examples
    --------
    >>> low, high = share_interval([True] * 9 + [False])
    >>> round(low, 3), round(high, 3)
    (0.596, 0.982)
    """
    # Slow to import, and the command line's help needs only the names above.
    import numpy as np  # noqa: PLC0415
    from scipy import stats  # noqa: PLC0415

    from tokimp.analysis.statistics.intervals import mean_interval  # noqa: PLC0415

    if interval == "wilson":
        wilson = stats.binomtest(sum(right), len(right)).proportion_ci(confidence, method="wilson")
        return float(wilson.low), float(wilson.high)
    mean = mean_interval(np.array(right, dtype=np.float64), confidence=confidence, seed=seed)
    return (mean.mean, mean.mean) if np.isnan(mean.low) else (mean.low, mean.high)
