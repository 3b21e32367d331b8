"""How close one pruning of a chain is to the exact one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tokimp.analysis.statistics.rank_measures import is_constant, mean_ranks, pearson
from tokimp.chains.arrays import FloatArray
from tokimp.contracts.estimator import Importance, Trajectory
from tokimp.contracts.objective import Objective
from tokimp.results.schema import ranks

OVERLAP_AT = 0.5


@dataclass(frozen=True, slots=True)
class Fidelity:
    """A pruning beside the exact one of the same chain.

    Attributes
    ----------
    same_order
        Whether the same units went at the same steps.
    spearman
        Of the two importances; NaN where one is constant.
    mean_gap
        What was left is less likely than in the exact run by so many nats, on average over the steps.
    exact_range
        Nats between the most and the least likely that the exact run saw, the unpruned chain included: what the gap
        is to be seen beside.
    kept_overlap
        Share of the units kept by the exact run that this one keeps too, at the keep ratio `overlap_at`.
    overlap_at
        0.5, or where both runs stopped, if that is higher.
    """

    same_order: bool
    spearman: float
    mean_gap: float
    exact_range: float
    kept_overlap: float
    overlap_at: float


def likelihoods(trajectory: Trajectory, objective: Objective) -> FloatArray:
    """Return the likelihood along a run that an objective is about: joint for those that are no single likelihood."""
    name = objective.name if objective.name in {"answer", "reasoning"} else "joint"
    values: FloatArray = getattr(trajectory, name)
    return values


def fidelity(
    found: Importance, exact: Importance, unpruned: float, objective: Objective, keep_ratio: float = 0.0
) -> Fidelity:
    """Compare a pruning with the exact one.

    Parameters
    ----------
    found, exact
        Two prunings of one chain to the same keep ratio, with order and trajectory.
    unpruned
        The likelihood of the whole chain, of the kind that `likelihoods` returns.
    objective
        What both preserve.
    keep_ratio
        Where both stop.
    """
    if found.order is None or exact.order is None or found.trajectory is None or exact.trajectory is None:
        raise ValueError("only prunings, with order and trajectory, can be compared")
    along, reference = (likelihoods(run.trajectory, objective) for run in (found, exact) if run.trajectory is not None)
    seen = np.append(reference, unpruned)
    at = max(OVERLAP_AT, keep_ratio)
    constant = is_constant(found.scores) or is_constant(exact.scores)
    return Fidelity(
        same_order=np.array_equal(found.order, exact.order),
        spearman=float("nan") if constant else pearson(mean_ranks(found.scores), mean_ranks(exact.scores)),
        mean_gap=float(np.mean(reference - along)) if len(reference) else 0.0,
        exact_range=float(seen.max() - seen.min()),
        kept_overlap=_kept_overlap(found.scores, exact.scores, at),
        overlap_at=at,
    )


def _kept_overlap(found: FloatArray, exact: FloatArray, keep_ratio: float) -> float:
    count = len(exact)
    kept = int(count * keep_ratio)
    if not kept:
        return float("nan")
    first, second = (set(np.flatnonzero(ranks(scores) >= count - kept).tolist()) for scores in (found, exact))
    return len(first & second) / kept
