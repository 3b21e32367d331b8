"""Whether one model answers better than another: both on the same questions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from tokimp.analysis.statistics.intervals import MeanInterval, mean_interval
from tokimp.chains.arrays import FloatArray
from tokimp.errors import DistillationError


@dataclass(frozen=True, slots=True)
class PairedTest:
    """The difference between two accuracies on the same questions.

    Attributes
    ----------
    difference
        Accuracy of the first minus that of the second, between -1 and 1.
    low, high
        Of its bootstrap interval, questions resampled; the difference itself where it is the same on every question.
    p_value
        Of McNemar's test, exact and two-sided: were both equally good, how likely so uneven a division of the questions
        would be that only one of the two answers right. 1 where there are none.
    n
        Questions.
    only_first, only_second
        Questions that only the one, and only the other, answers right.
    """

    difference: float
    low: float
    high: float
    p_value: float
    n: int
    only_first: int
    only_second: int


def difference_interval(
    differences: FloatArray, *, confidence: float = 0.95, n_resamples: int = 2000, seed: int = 0
) -> MeanInterval:
    """Return the mean of the questions' differences with its bootstrap interval.

    Where they are all alike the bootstrap knows no spread, and the interval is the mean itself.

    Parameters
    ----------
    differences
        [question]
    confidence, n_resamples, seed
        As of `tokimp.analysis.statistics.intervals.mean_interval`.

    Examples
    --------
    >>> interval = difference_interval(np.array([0.5, 0.5, 0.5]))
    >>> interval.mean, interval.low, interval.high
    (0.5, 0.5, 0.5)
    """
    found = mean_interval(differences, confidence=confidence, n_resamples=n_resamples, seed=seed)
    if np.isfinite([found.low, found.high]).all():
        return found
    mean = float(differences.mean())
    return replace(found, mean=mean, low=mean, high=mean)


def paired_test(
    right_a: Mapping[str, bool],
    right_b: Mapping[str, bool],
    *,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
) -> PairedTest:
    """Compare two models question by question.

    The p-value is that of McNemar (1947, Psychometrika 12), from the exact binomial distribution; the interval is the
    bootstrap's of `tokimp.analysis.statistics.intervals.mean_interval`.

    Parameters
    ----------
    right_a, right_b
        Whether each question, by its id, was answered right; the same questions.
    confidence
        Of the interval, between 0 and 1.
    n_resamples, seed
        Of the bootstrap.

    Raises
    ------
    DistillationError
        If the questions are not the same, or there are none.

    Examples
    --------
    >>> before = {f"q{index}": index < 2 for index in range(10)}
    >>> after = {f"q{index}": index < 8 for index in range(10)}
    >>> test = paired_test(after, before)
    >>> test.difference, test.only_first, test.only_second, test.p_value
    (0.6, 6, 0, 0.03125)
    """
    if right_a.keys() != right_b.keys():
        odd = sorted(right_a.keys() ^ right_b.keys())
        raise DistillationError(
            f"a paired comparison needs the same questions on both sides, but {len(odd)} are on one only ({odd[0]!r} "
            "first); evaluate both on the same task, source, split, limit and seed"
        )
    if not right_a:
        raise DistillationError("there is no question to compare on")
    ids = sorted(right_a)
    differences = np.array([float(right_a[each]) - float(right_b[each]) for each in ids])
    first, second = int((differences > 0).sum()), int((differences < 0).sum())
    interval = difference_interval(differences, confidence=confidence, n_resamples=n_resamples, seed=seed)
    p_value = float(stats.binomtest(first, first + second, 0.5).pvalue) if first + second else 1.0
    return PairedTest(
        difference=interval.mean,
        low=interval.low,
        high=interval.high,
        p_value=p_value,
        n=len(ids),
        only_first=first,
        only_second=second,
    )
