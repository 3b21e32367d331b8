"""The loss at both ends of a training: a mean over a tenth of its steps, since single batches differ much."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


def tenth_of(steps: int) -> int:
    """Return a tenth of a number of steps, rounded up."""
    return max(1, math.ceil(steps / 10))


def mean_loss(history: Sequence[Mapping[str, float]], after: int, up_to: int) -> float:
    """Return the mean training loss of some steps, in nats a token.

    Each measurement is the mean over the steps since the measurement before it (`tokimp.contracts.trainer.Fit`). It is
    weighted by how many of these steps are asked for. Steps after the last measurement do not count. The mean is over
    steps: batches count alike, however long they are.

    Parameters
    ----------
    history
        As in `tokimp.contracts.trainer.Fit`.
    after, up_to
        The steps from ``after + 1`` to ``up_to``.

    Returns
    -------
    float
        NaN if no measurement covers any of these steps.

    Examples
    --------
    >>> mean_loss([{"step": 2, "loss": 3.0}, {"step": 4, "loss": 1.0}], after=1, up_to=4)
    1.6666666666666667
    """
    total, covered, last_step = 0.0, 0.0, 0.0
    for point in history:
        if "loss" not in point:
            continue
        steps = max(0.0, min(point["step"], up_to) - max(last_step, after))
        # A loss that is NaN must not spoil the mean if none of its steps is asked for.
        if steps:
            total += steps * point["loss"]
            covered += steps
        last_step = point["step"]
    return total / covered if covered else math.nan
