"""The loss at a training's beginning and end: a mean over a tenth of its steps, since single batches differ much."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


def tenth_of(steps: int) -> int:
    """Return how many steps are a tenth of them: at least one, and rounded up."""
    return max(1, math.ceil(steps / 10))


def mean_loss(history: Sequence[Mapping[str, float]], after: int, up_to: int) -> float:
    """Return the mean training loss of some steps, in nats a token.

    A measurement stands for the steps since the one before it, as `tokimp.contracts.trainer.Fit` has it, and counts
    by how many of these are asked for. Steps after the last measurement do not count. The mean is over steps: batches
    count alike, however long they are.

    Parameters
    ----------
    history
        As of `tokimp.contracts.trainer.Fit`.
    after, up_to
        The steps from ``after + 1`` to ``up_to``.

    Returns
    -------
    float
        NaN where no measurement covers any of these steps.

    Examples
    --------
    >>> mean_loss([{"step": 2, "loss": 3.0}, {"step": 4, "loss": 1.0}], after=1, up_to=4)
    1.6666666666666667
    """
    total, covered, before = 0.0, 0.0, 0.0
    for point in history:
        if "loss" not in point:
            continue
        steps = max(0.0, min(point["step"], up_to) - max(before, after))
        # A loss that is no number, of steps that nobody asks for, is not to make the mean one.
        if steps:
            total += steps * point["loss"]
            covered += steps
        before = point["step"]
    return total / covered if covered else math.nan
