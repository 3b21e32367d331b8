"""Progress: what `compare`, analyses and the distillation tell their callers while they run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands after a cell.

    Attributes
    ----------
    done, total
        The number of cells done, and of all cells: every estimator on every chain.
    chain_id, estimator
        The cell just finished: its chain's id and its estimator's label.
    kept
        Whether it was read from disk rather than computed.
    tokens_forwarded
        Token positions passed through the model for all cells done.
    seconds_left
        An estimate of the time left; ``None`` until every estimator has finished a chain.
    """

    done: int
    total: int
    chain_id: str
    estimator: str
    kept: bool
    tokens_forwarded: int
    seconds_left: float | None
