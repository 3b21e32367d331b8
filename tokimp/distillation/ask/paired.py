"""Compare two models on the same questions: the difference, its interval, and whether it is more than chance."""

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
        Bounds of its bootstrap interval over questions; the difference itself where it is the same on every question.
    p_value
        p-value of McNemar's test, exact and two-sided. It is about the questions that only one of the models answers
        right: how likely they would be divided so unevenly if both models were equally good. 1 without such questions.
    n
        Number of questions.
    only_first, only_second
        Number of questions that only the first, and only the second, answers right.
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

    Where all differences are equal, the bootstrap has no spread, and the interval is the mean itself.

    Parameters
    ----------
    differences
        [question]
    confidence, n_resamples, seed
        As for `tokimp.analysis.statistics.intervals.mean_interval`.

    Examples
    --------
    >>> interval = difference_interval(np.array([0.5, 0.5, 0.5]))
    >>> interval.mean, interval.low, interval.high
    (0.5, 0.5, 0.5)
    """
    interval = mean_interval(differences, confidence=confidence, n_resamples=n_resamples, seed=seed)
    if np.isfinite([interval.low, interval.high]).all():
        return interval
    mean = float(differences.mean())
    return replace(interval, mean=mean, low=mean, high=mean)


def sign_flip_p_value(differences: FloatArray, *, seed: int = 0, n_resamples: int = 20_000) -> float:
    """Return the two-sided p-value of a permutation test that the sign of each difference is arbitrary.

    Differences of 0 do not count. All ways to flip the signs of the others are tried, if there are at most
    `n_resamples`; the p-value is then exact and no lower than 2 / 2^n, for n differences. Otherwise `n_resamples` ways
    are drawn, and since the data's own signs count among them (Phipson and Smyth 2010, equation 2), the p-value is no
    lower than 1 / (1 + `n_resamples`).

    Parameters
    ----------
    differences
        [pair]
    seed, n_resamples
        Seed and number of the ways that are drawn.

    Examples
    --------
    >>> sign_flip_p_value(np.array([1.0, 1.0, 1.0, 1.0, 0.0]))
    0.125
    """
    nonzero = differences[differences != 0]
    # One difference alone is as far from 0 with either sign, and scipy takes no fewer than two.
    if len(nonzero) < 2:
        return 1.0
    test = stats.permutation_test(
        (nonzero,),
        _distance_from_zero,
        permutation_type="samples",
        n_resamples=n_resamples,
        # About as fast as it gets: fewer cost calls, more do not fit the processor's caches.
        batch=1000,
        # More extreme is farther from 0, on either side.
        alternative="greater",
        vectorized=True,
        rng=np.random.default_rng(seed),
    )
    return float(test.pvalue)


def _distance_from_zero(differences: FloatArray, axis: int) -> FloatArray:
    """Return absolute sums, rounded: sums that differ only by the order of their terms are to be equal."""
    rounded: FloatArray = np.abs(differences.sum(axis=axis)).round(9)
    return rounded


def paired_test(
    right_a: Mapping[str, bool],
    right_b: Mapping[str, bool],
    *,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
) -> PairedTest:
    """Compare two models question by question.

    The p-value is that of McNemar (1947, Psychometrika 12), from the exact binomial distribution; the bootstrap
    interval is that of `tokimp.analysis.statistics.intervals.mean_interval`.

    Parameters
    ----------
    right_a, right_b
        Whether each question, by its id, was answered right; the same questions.
    confidence
        Confidence of the interval, between 0 and 1.
    n_resamples, seed
        Number of resamples of the bootstrap, and its seed.

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
        one_sided = sorted(right_a.keys() ^ right_b.keys())
        raise DistillationError(
            f"a paired comparison needs the same questions on both sides, but {len(one_sided)} are on one only "
            f"({one_sided[0]!r} first); evaluate both on the same task, source, split, limit and seed"
        )
    if not right_a:
        raise DistillationError("there is no question to compare on")
    ids = sorted(right_a)
    differences = np.array([float(right_a[name]) - float(right_b[name]) for name in ids])
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
