"""Compare two models on the same questions: the difference, its interval, and whether it is more than chance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scipy import stats

from tokimp.analysis.statistics.intervals import paired_share_interval
from tokimp.errors import DistillationError


@dataclass(frozen=True, slots=True)
class PairedTest:
    """The difference between two accuracies on the same questions.

    Attributes
    ----------
    difference
        Accuracy of the first minus that of the second, between -1 and 1.
    low, high
        Bounds of its interval over questions (`tokimp.analysis.statistics.intervals.paired_share_interval`). They are
        about other questions for the same two models, not about other trainings.
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


def paired_test(
    right_a: Mapping[str, bool],
    right_b: Mapping[str, bool],
    *,
    confidence: float = 0.95,
) -> PairedTest:
    """Compare two models question by question.

    The p-value is that of McNemar (1947, Psychometrika 12), from the exact binomial distribution; the interval is that
    of `tokimp.analysis.statistics.intervals.paired_share_interval`.

    Parameters
    ----------
    right_a, right_b
        Whether each question, by its id, was answered right; the same questions.
    confidence
        Confidence of the interval, between 0 and 1.

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
    first = sum(right_a[name] and not right_b[name] for name in right_a)
    second = sum(right_b[name] and not right_a[name] for name in right_a)
    interval = paired_share_interval(first, second, len(right_a), confidence=confidence)
    p_value = float(stats.binomtest(first, first + second, 0.5).pvalue) if first + second else 1.0
    return PairedTest(
        difference=interval.mean,
        low=interval.low,
        high=interval.high,
        p_value=p_value,
        n=len(right_a),
        only_first=first,
        only_second=second,
    )
