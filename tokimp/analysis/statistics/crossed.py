"""Means over seeds and questions, where both are drawn: trainings of students, each asked the same questions."""

from __future__ import annotations

import numpy as np
from scipy import optimize, stats

from tokimp.analysis.statistics.intervals import MeanInterval
from tokimp.chains.arrays import FloatArray

_LEAST_P_VALUE = 1e-12
_ROUNDING = 1e-12  # a mean nearer to 0 is 0


def crossed_interval(values: FloatArray, *, confidence: float = 0.95) -> MeanInterval:
    """Return a mean over seeds and questions, with an interval that says where it would be with others of both.

    Two sources of variance are told apart by an analysis of variance of crossed random effects (Searle, Casella and
    McCulloch 1992, *Variance Components*): which seed a training had, and which questions were asked. Each
    has its own quantile of Student's t, with as many degrees of freedom as it has values less one, and the half widths
    are added in squares. So two seeds make a wide interval.

    Parameters
    ----------
    values
        [seed, question], at least two of each, without NaN.
    confidence
        Confidence of the interval, between 0 and 1.

    Returns
    -------
    MeanInterval
        The interval is NaN where all values are the same.
    """
    mean, variances, degrees = _crossed_variances(values)
    if not sum(variances) > 0:
        return MeanInterval(mean, np.nan, np.nan)
    reach = _reach(1 - confidence, variances, degrees)
    return MeanInterval(mean, mean - reach, mean + reach)


def crossed_p_value(values: FloatArray) -> float:
    """Return the two-sided p-value of the hypothesis that a mean over seeds and questions is 0.

    It is 1 minus the confidence of the `crossed_interval` that just reaches 0. It is 1 for a mean of 0, and NaN for
    another value that is always the same.
    """
    mean, variances, degrees = _crossed_variances(values)
    if not abs(mean) > _ROUNDING:
        return 1.0
    if not sum(variances) > 0:
        return np.nan

    def beyond(level: float) -> float:
        return _reach(level, variances, degrees) - abs(mean)

    if beyond(_LEAST_P_VALUE) < 0:
        return _LEAST_P_VALUE
    return float(optimize.brentq(beyond, _LEAST_P_VALUE, 1 - 1e-15))


def _crossed_variances(values: FloatArray) -> tuple[float, tuple[float, float], tuple[int, int]]:
    """Return the mean of [seed, question], and what seeds and questions add to its variance, with degrees of freedom.

    What is left over after both, such as a seed's luck with one question, is counted once, with the seeds.
    """
    seeds, questions = values.shape
    mean = float(values.mean())
    by_seed, by_question = values.mean(axis=1), values.mean(axis=0)
    rest = values - by_seed[:, None] - by_question[None, :] + mean
    square_seeds = questions * float(np.square(by_seed - mean).sum()) / (seeds - 1)
    square_questions = seeds * float(np.square(by_question - mean).sum()) / (questions - 1)
    square_rest = float(np.square(rest).sum()) / ((seeds - 1) * (questions - 1))
    of_questions = max(0.0, square_questions - square_rest)
    count = seeds * questions
    return mean, (square_seeds / count, of_questions / count), (seeds - 1, questions - 1)


def _reach(level: float, variances: tuple[float, float], degrees: tuple[int, int]) -> float:
    """Return half the width of the interval of confidence 1 - `level`."""
    parts = [
        float(stats.t.isf(level / 2, free)) ** 2 * part for part, free in zip(variances, degrees, strict=True) if part
    ]
    return float(np.sqrt(sum(parts)))
