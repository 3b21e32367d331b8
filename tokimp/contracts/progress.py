"""Progress: what `compare`, analyses and the distillation tell their callers while they run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands after a cell.

    Attributes
    ----------
    done, total
        The number of cells done or failed, and of all cells: every estimator on every chain.
    chain_id, estimator
        The cell just finished: its chain's id and its estimator's label.
    kept
        Whether it was read from disk rather than computed.
    tokens_forwarded
        Token positions passed through the model for all cells done.
    seconds_left
        An estimate of the time left; ``None`` until every estimator has finished a chain.
    failed
        The number of cells that failed, in a run that goes on without them.
    workers
        The number of workers that are alive; ``None`` where nobody counts them.
    lost
        How often a worker died, or was ended because it took too long or could not go on.
    positions_per_second
        Token positions passed through the model in a second since the run began or went on, by all workers together;
        ``None`` where nobody counts them.
    """

    done: int
    total: int
    chain_id: str
    estimator: str
    kept: bool
    tokens_forwarded: int
    seconds_left: float | None
    failed: int = 0
    workers: int | None = None
    lost: int = 0
    positions_per_second: float | None = None
