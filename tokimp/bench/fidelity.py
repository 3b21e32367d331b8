"""How close a pruning of a chain comes to the exact one."""

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
    """A pruning compared with the exact pruning of the same chain.

    Attributes
    ----------
    same_order
        Whether both deleted the same units at the same steps.
    spearman
        Spearman correlation of the two importances; NaN where one is constant.
    mean_gap
        By how many nats the remaining chain is less likely than in the exact run: the mean over the steps.
    exact_range
        Nats between the greatest and the least likelihood along the exact run, the unpruned chain included; it gives
        the gap its scale.
    kept_overlap
        Share of the units kept by the exact run that this one keeps too, at the keep ratio `overlap_at`.
    overlap_at
        0.5, or the keep ratio at which both runs stopped, if that is higher.
    """

    same_order: bool
    spearman: float
    mean_gap: float
    exact_range: float
    kept_overlap: float
    overlap_at: float


def likelihoods(trajectory: Trajectory, objective: Objective) -> FloatArray:
    """Return the log-likelihood that an objective is about, along a run, [step], nats.

    It is the joint one for objectives that are neither the answer's nor the reasoning's likelihood.
    """
    name = objective.name if objective.name in {"answer", "reasoning"} else "joint"
    values: FloatArray = getattr(trajectory, name)
    return values


def fidelity(
    pruning: Importance, exact: Importance, unpruned: float, objective: Objective, keep_ratio: float = 0.0
) -> Fidelity:
    """Compare a pruning with the exact one.

    Parameters
    ----------
    pruning, exact
        Two prunings of one chain to the same keep ratio, with order and trajectory.
    unpruned
        The log-likelihood of the whole chain, of the kind that `likelihoods` returns, nats.
    objective
        What both preserve.
    keep_ratio
        Share of the units at which both stop.

    Raises
    ------
    ValueError
        If one of them has no order or no trajectory, and so is no pruning.
    """
    if pruning.order is None or exact.order is None or pruning.trajectory is None or exact.trajectory is None:
        raise ValueError("only prunings, with order and trajectory, can be compared")
    along, along_exact = (likelihoods(trajectory, objective) for trajectory in (pruning.trajectory, exact.trajectory))
    exact_and_unpruned = np.append(along_exact, unpruned)
    overlap_at = max(OVERLAP_AT, keep_ratio)
    constant = is_constant(pruning.scores) or is_constant(exact.scores)
    return Fidelity(
        same_order=np.array_equal(pruning.order, exact.order),
        spearman=float("nan") if constant else pearson(mean_ranks(pruning.scores), mean_ranks(exact.scores)),
        mean_gap=float(np.mean(along_exact - along)) if len(along_exact) else 0.0,
        exact_range=float(exact_and_unpruned.max() - exact_and_unpruned.min()),
        kept_overlap=_kept_overlap(pruning.scores, exact.scores, overlap_at),
        overlap_at=overlap_at,
    )


def _kept_overlap(scores: FloatArray, exact_scores: FloatArray, keep_ratio: float) -> float:
    """Return the share of the units kept by importance in both, [unit] each; NaN where no unit is kept."""
    n_units = len(exact_scores)
    n_kept = int(n_units * keep_ratio)
    if not n_kept:
        return float("nan")
    kept, kept_by_exact = (set(np.flatnonzero(ranks(s) >= n_units - n_kept).tolist()) for s in (scores, exact_scores))
    return len(kept & kept_by_exact) / n_kept
