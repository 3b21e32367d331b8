r"""How far two samples of answers differ, and how far samples of one and the same distribution would.

The plug-in KL of two samples of the same K answers is not 0: it is about ``(K - 1) / 2 (1 / N + 1 / M)`` nats on
average, the Jensen-Shannon divergence a quarter of that. So every value comes with its permutation null: both samples
are pooled and divided anew at random, into as many answers each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tokimp.chains.arrays import FloatArray, IntArray

Statistic = Callable[[IntArray, IntArray], FloatArray]
"""A number, [...], of how often each answer is in the first and in the second sample, [..., answer] both."""

_QUANTILE = 0.95


def kl_divergence(first: IntArray, second: IntArray, smoothing: float = 0.5) -> FloatArray:
    r"""Return ``KL(first || second)`` in nats of two samples of answers, [...].

    ``p(v) = (count + smoothing) / (total + smoothing K)``, over the K answers that either sample has; 0 at least.

    Parameters
    ----------
    first, second
        How often each answer was given, [..., answer].
    smoothing
        What is added to each count, above 0. Thought anchors add 1e-9, with which one answer that only the first
        sample has is worth about 25 nats times its share; 1/2 is Jeffreys' prior.

    Examples
    --------
    >>> kl_divergence(np.array([1, 1]), np.array([0, 2])).round(4).item()
    0.2939
    """
    first, second = np.asarray(first), np.asarray(second)
    present = (first + second) > 0
    shares = [_shares(counts, present, smoothing) for counts in (first, second)]
    return np.maximum(0.0, _divergence(*shares))


def js_divergence(first: IntArray, second: IntArray) -> FloatArray:
    """Return the Jensen-Shannon divergence in nats of two samples of answers, [...]; at most ln 2.

    It is the mean of the divergences of both from their mean, which has every answer, so nothing is added to counts.

    Examples
    --------
    >>> js_divergence(np.array([2, 0]), np.array([0, 2])).round(4).item()
    0.6931
    """
    first, second = np.asarray(first), np.asarray(second)
    present = (first + second) > 0
    p, q = (_shares(counts, present, 0.0) for counts in (first, second))
    mean = (p + q) / 2
    return np.maximum(0.0, (_divergence(p, mean) + _divergence(q, mean)) / 2)


def share_difference(first: IntArray, second: IntArray) -> FloatArray:
    """Return how much larger the share of the first answer is in the second sample than in the first, [...]."""
    first, second = np.asarray(first), np.asarray(second)
    difference: FloatArray = second[..., 0] / second.sum(axis=-1) - first[..., 0] / first.sum(axis=-1)
    return difference


def _shares(counts: IntArray, present: npt.NDArray[np.bool_], smoothing: float) -> FloatArray:
    smoothed = np.where(present, counts + smoothing, 0.0)
    shares: FloatArray = smoothed / smoothed.sum(axis=-1, keepdims=True)
    return shares


def _divergence(p: FloatArray, q: FloatArray) -> FloatArray:
    """Return ``sum p ln(p / q)`` over the last axis; an answer without a share in p adds nothing."""
    there = p > 0
    ratio = np.where(there, p, 1.0) / np.where(there, q, 1.0)
    total: FloatArray = np.sum(p * np.log(ratio), axis=-1)
    return total


@dataclass(frozen=True, slots=True)
class Measured:
    """A number of two samples, and what it would be for two samples of one distribution.

    Attributes
    ----------
    value
        The number.
    null_mean
        Its mean over reshuffles of the pooled answers.
    null_q95
        The 95 % point of its size over the reshuffles.
    p
        ``(1 + reshuffles whose size is no smaller) / (1 + reshuffles)``.
    """

    value: float
    null_mean: float
    null_q95: float
    p: float


def measure(
    first: IntArray, second: IntArray, statistic: Statistic, generator: np.random.Generator, reshuffles: int = 1000
) -> Measured:
    """Return a statistic of two samples of answers with its permutation null.

    Parameters
    ----------
    first, second
        How often each answer was given, [answer]; neither is empty.
    statistic
        The number to compute; of one that has a sign, the size is what is compared with the null.
    generator
        What answers are reshuffled with.
    reshuffles
        How often the pooled answers are divided anew.
    """
    value = float(statistic(first, second))
    pooled = first + second
    # How many of each answer the first sample gets, if the pool is divided at random.
    drawn = generator.multivariate_hypergeometric(pooled, int(first.sum()), size=reshuffles)
    null = statistic(drawn, pooled - drawn)
    # Two divisions that are mirror images may differ in their last bit.
    as_large = np.count_nonzero(np.abs(null) >= abs(value) - 1e-12)
    return Measured(
        value=value,
        null_mean=float(null.mean()),
        null_q95=float(np.quantile(np.abs(null), _QUANTILE)),
        p=(1 + as_large) / (1 + reshuffles),
    )


def split_half(counts: IntArray, statistic: Statistic, generator: np.random.Generator, halvings: int = 1000) -> float:
    """Return the mean size of a statistic between two random halves of one sample of answers.

    Both halves are of one distribution, so this is noise and nothing else; for halves of N answers it is what two
    samples of N differ by. It looks at one sample alone, where the permutation null pools two that may differ.

    Parameters
    ----------
    counts
        How often each answer was given, [answer].
    statistic
        The number to compute.
    generator
        What the sample is halved with.
    halvings
        How often. Of an odd number of answers, one more is in the second half.
    """
    drawn = generator.multivariate_hypergeometric(counts, int(counts.sum()) // 2, size=halvings)
    return float(np.abs(statistic(drawn, counts - drawn)).mean())
