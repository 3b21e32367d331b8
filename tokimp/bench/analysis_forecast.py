"""What asking a model about chains for an analysis will cost: from a trial of some seconds."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from tokimp.analysis.asked_chain import Tried
from tokimp.analysis.elsewhere import Elsewhere
from tokimp.analysis.kept_chains import record_of
from tokimp.bench.forecast import extrapolated
from tokimp.bench.work_forecast import PartCost, WorkForecast

LONGER = 1.5
"""How many times longer than the last trial's chain the next one is at least."""
# What is asked of a chain may grow with the square of its length.
_GROWTH = LONGER**2
# Bytes of a record beside its content: mark, lengths, digest and key.
_BYTES_A_RECORD = 120


def forecast_analysis(
    pending: Elsewhere, *, budget: float = 5.0, lengths: Sequence[int] | None = None
) -> WorkForecast | None:
    """Ask the first question of an analysis about some chains; return what asking it about all of them will cost.

    The shortest chain comes first, then longer ones, until the next might take too long. Positions, seconds and bytes
    are fitted by a sum of a fixed part, one in proportion to a chain's length and one to its square. Further questions
    of the same analysis are not counted.

    Parameters
    ----------
    pending
        The analysis, and where its chains are asked about.
    budget
        Seconds for all trials together. The shortest chain is asked about all the same.
    lengths
        The numbers of tokens of the chains that will be asked about, where these are not those of `pending`.

    Returns
    -------
    WorkForecast or None
        None if everything is known already, or the analysis does not ask about one chain at a time.
    """
    question = pending.first_question()
    if question is None:
        return None
    missing = {index: pending.length_of(index) for index in question.missing}
    began, tried = time.perf_counter(), dict[int, Tried]()
    for index in sorted(missing, key=lambda index: (missing[index], index)):
        longest = max((missing[known] for known in tried), default=0)
        if tried and missing[index] < min(LONGER * longest, max(missing.values())):
            continue
        spent = time.perf_counter() - began
        if tried and spent + _GROWTH * max(trial.found.seconds for trial in tried.values()) > budget:
            break
        trial = pending.try_chain(index, question.what)
        if trial is not None and not tried and trial.found.seconds < budget / 4:
            # The first call compiles and allocates.
            trial = pending.try_chain(index, question.what)
        if trial is None:
            return None
        tried[index] = trial
    asked = list(missing.values()) if lengths is None else list(lengths)
    features, of_all = (
        np.array([[1.0, length, length**2] for length in of]) for of in ([missing[index] for index in tried], asked)
    )
    costs = [
        (trial.found.seconds, trial.found.tokens_forwarded, len(record_of(trial.found)) + _BYTES_A_RECORD)
        for trial in tried.values()
    ]
    seconds, positions, sizes = (
        float(extrapolated(features, values, of_all).sum()) for values in np.array(costs, dtype=np.float64).T
    )
    longest = max(missing[index] for index in tried)
    part = PartCost(
        f"{pending.analysis.name} of a chain",
        len(asked),
        positions,
        seconds,
        sizes if pending.keeps_on_disk else None,
        how=f"{len(tried)} chain{'s' if len(tried) > 1 else ''}, the longest of {longest} tokens",
    )
    peaks = [trial.memory for trial in tried.values() if trial.memory is not None]
    return WorkForecast((part,), max(peaks, default=None), workers=pending.workers)
