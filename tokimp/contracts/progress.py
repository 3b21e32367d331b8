"""How far a run has come: what `compare`, analyses and the distillation tell their callers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands after a cell.

    Attributes
    ----------
    done, total
        Cells: every estimator on every chain.
    chain_id, estimator
        The cell just finished; the estimator by its label.
    kept
        Whether it was read from the disk rather than computed.
    tokens_forwarded
        Token positions passed through the model for all cells done.
    seconds_left
        An estimate; ``None`` until every estimator has finished a chain.
    """

    done: int
    total: int
    chain_id: str
    estimator: str
    kept: bool
    tokens_forwarded: int
    seconds_left: float | None
