"""How close a pruning comes to the exact one."""

from __future__ import annotations

import numpy as np
import pytest

from tokimp.bench.fidelity import fidelity
from tokimp.contracts.estimator import Importance, Trajectory
from tokimp.contracts.objective import Answer, Joint


def pruning(order: list[int], joint: list[float]) -> Importance:
    """Return a run that deleted units in an order, with likelihoods that are all of the reasoning's."""
    steps = np.empty(len(order), dtype=np.int64)
    steps[order] = np.arange(len(order))
    values = np.array(joint)
    return Importance(
        steps.astype(float), steps, Trajectory(joint=values, answer=np.zeros(len(joint)), reasoning=values)
    )


def test_fidelity_by_hand() -> None:
    """Two runs of four units: the gap is a mean over steps, the overlap one of the halves kept."""
    exact = pruning([0, 1, 2, 3], [-2.0, -4.0, -6.0, -1.0])
    near = fidelity(pruning([0, 2, 1, 3], [-2.0, -5.0, -6.0, -2.0]), exact, 0.0, Joint())
    assert near.spearman == pytest.approx(0.8)
    assert (near.same_order, near.mean_gap, near.exact_range) == (False, 0.5, 6.0)
    assert (near.kept_overlap, near.overlap_at) == (0.5, 0.5)


def test_the_gap_is_of_what_the_objective_is_about() -> None:
    """For the answer objective the answer's likelihood is compared, not the joint one."""
    exact = pruning([0, 1], [-2.0, -4.0])
    assert fidelity(pruning([1, 0], [-9.0, -4.0]), exact, 0.0, Answer()).mean_gap == 0
