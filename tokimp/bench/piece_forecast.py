"""What asking a model about chains, or putting questions to it, will cost: from a trial of some seconds."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from tokimp.analysis.elsewhere import Elsewhere
from tokimp.bench.forecast import extrapolated

_LONGER = 1.5
# What is asked of a chain may grow with the square of its length.
_GROWTH = _LONGER**2


@dataclass(frozen=True, slots=True)
class PieceForecast:
    """What pieces of work will cost.

    Attributes
    ----------
    what
        What is done: ``faithfulness of a chain``.
    pieces
        How many of them are to be done.
    positions
        Token positions that pass through the model.
    seconds
        By one worker, one piece after the other.
    tried
        What was tried, in words.
    workers
        How many workers share the pieces.
    """

    what: str
    pieces: int
    positions: float
    seconds: float
    tried: str
    workers: int = 1

    @property
    def total_seconds(self) -> float:
        """The seconds until all is done, if all workers are busy until the end."""
        return self.seconds / self.workers


def forecast_analysis(pending: Elsewhere, *, budget: float = 5.0) -> PieceForecast | None:
    """Ask the first question of an analysis about some chains; return what asking it about all of them will cost.

    The shortest chain comes first, then longer ones, until the next might take too long. Positions and seconds are
    fitted by a sum of a fixed part, one in proportion to a chain's length and one to its square. Further questions of
    the same analysis are not counted.

    Parameters
    ----------
    pending
        The analysis, and where its chains are asked about.
    budget
        Seconds for all trials together. The shortest chain is asked about all the same.

    Returns
    -------
    PieceForecast or None
        None if everything is known already, or the analysis does not ask about one chain at a time.
    """
    question = pending.first_question()
    if question is None:
        return None
    lengths = {index: pending.length_of(index) for index in question.missing}
    began, tried = time.perf_counter(), dict[int, tuple[float, float]]()
    for index in sorted(lengths, key=lambda index: (lengths[index], index)):
        longest = max((lengths[known] for known in tried), default=0)
        if tried and lengths[index] < min(_LONGER * longest, max(lengths.values())):
            continue
        spent = time.perf_counter() - began
        if tried and spent + _GROWTH * max(seconds for seconds, _ in tried.values()) > budget:
            break
        found = pending.ask(index, question.what)
        if found is not None and not tried and found.seconds < budget / 4:
            # The first call compiles and allocates.
            found = pending.ask(index, question.what)
        if found is None:
            return None
        tried[index] = found.seconds, found.tokens_forwarded
    features, of_all = (
        np.array([[1.0, lengths[index], lengths[index] ** 2] for index in indices]) for indices in (tried, lengths)
    )
    seconds, positions = (np.array(values, dtype=np.float64) for values in zip(*tried.values(), strict=True))
    return PieceForecast(
        what=f"{pending.analysis.name} of a chain",
        pieces=len(lengths),
        positions=float(extrapolated(features, positions, of_all).sum()),
        seconds=float(extrapolated(features, seconds, of_all).sum()),
        tried=f"{len(tried)} chains, the longest of {max(lengths[index] for index in tried)} tokens",
        workers=pending.workers,
    )
