"""Scores of a ranking against marked units: areas of precision and recall, F1, F1 of spans, recall."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import auc, precision_recall_curve

from tokimp.chains.arrays import FloatArray, IntArray

Span = tuple[int, int]
"""The first unit of a run of neighbouring units, and the one after its last."""


def trapezoid_auprc(scores: FloatArray, is_marked: FloatArray) -> float:
    """Return the area under the curve of precision and recall by trapezoids, as ERASER has it.

    It joins points of the curve by straight lines, between which nothing can be reached, so that it differs from
    average precision. It is there to compare with published tables.

    Parameters
    ----------
    scores
        Importance, [unit].
    is_marked
        1 for a marked unit, 0 for another, [unit]; both are there.

    Examples
    --------
    >>> round(trapezoid_auprc(np.array([0.9, 0.8, 0.3]), np.array([1.0, 0.0, 1.0])), 4)
    0.7917
    """
    precision, recall, _ = precision_recall_curve(is_marked, scores)
    return float(auc(recall, precision))


def expected_hits(scores: FloatArray, is_marked: FloatArray, count: int) -> float:
    """Return how many of the most important units are marked, on average over the orders of units that tie.

    Parameters
    ----------
    scores, is_marked
        As of `trapezoid_auprc`.
    count
        How many units are taken.

    Examples
    --------
    >>> expected_hits(np.array([2.0, 1.0, 1.0]), np.array([1.0, 1.0, 0.0]), 2)
    1.5
    """
    border = np.sort(scores)[::-1][count - 1]
    above, tied = scores > border, scores == border
    share = (count - above.sum()) / tied.sum()
    return float(is_marked[above].sum() + share * is_marked[tied].sum())


def f1(hits: float, n_predicted: int, n_marked: int) -> float:
    """Return F1, the harmonic mean of precision and recall, from how many predicted units are marked.

    Examples
    --------
    >>> f1(hits=1, n_predicted=2, n_marked=2)
    0.5
    """
    return 2 * hits / (n_predicted + n_marked)


def spans(units: IntArray) -> list[Span]:
    """Return the runs of neighbouring units among some units.

    Examples
    --------
    >>> spans(np.array([5, 1, 2, 4]))
    [(1, 3), (4, 6)]
    """
    ascending = np.sort(units)
    runs = np.split(ascending, np.flatnonzero(np.diff(ascending) > 1) + 1)
    return [(int(run[0]), int(run[-1]) + 1) for run in runs if len(run)]


def iou_f1(predicted: list[Span], marked: list[Span], threshold: float = 0.5) -> float:
    """Return F1 of spans: a span counts as found if it shares enough with a span of the other side.

    Precision is the share of predicted spans that a marked span overlaps with by `threshold` or more, as intersection
    over union; recall is the share of marked spans likewise.

    Examples
    --------
    >>> iou_f1([(0, 2), (5, 6)], [(0, 3)])
    0.6666666666666666
    """
    overlap = np.array([[_iou(one, other) for other in marked] for one in predicted]) >= threshold
    precision, recall = overlap.any(axis=1).mean(), overlap.any(axis=0).mean()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def _iou(one: Span, other: Span) -> float:
    shared = max(0, min(one[1], other[1]) - max(one[0], other[0]))
    return shared / (one[1] - one[0] + other[1] - other[0] - shared)
