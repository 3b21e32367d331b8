"""What work will cost, part by part: the same numbers for estimators, an analysis, questions, or steps of a plan."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PartCost:
    """What a part of the work will cost. What is not known is ``None``.

    Attributes
    ----------
    what
        The part: an estimator, an analysis, ``tokens to sample``.
    pieces
        How many cells, chains, questions or the like it is made of.
    positions
        Token positions that pass through the model.
    seconds
        By one worker, one piece after the other, on the device of the trial.
    bytes_on_disk
        What is kept in the folder of the run.
    memory
        The most bytes in use during the trial of this part alone, weights included.
    how
        What was tried, or how it is counted.
    whose
        Which model does it, to which chains, or in which unit.
    """

    what: str
    pieces: int | None
    positions: float | None
    seconds: float | None
    bytes_on_disk: float | None
    memory: int | None = None
    how: str = ""
    whose: str = ""


@dataclass(frozen=True, slots=True)
class WorkForecast:
    """What work will cost.

    Attributes
    ----------
    parts
        The costs by estimator, analysis or step.
    memory
        The most bytes in use during the trial, weights included, in the process that made it; ``None`` if that is not
        known. Longer chains, and longer responses, may take more.
    result_bytes
        About what results take on disk beside what the parts keep.
    workers
        How many workers share the pieces; the memory is that of one.
    notes
        Further lines: what is not counted, and why something is not known.
    """

    parts: tuple[PartCost, ...]
    memory: int | None = None
    result_bytes: float = 0.0
    workers: int = 1
    notes: tuple[str, ...] = ()

    @property
    def positions(self) -> float:
        """The positions of all parts where they are known."""
        return sum(part.positions or 0.0 for part in self.parts)

    @property
    def seconds(self) -> float:
        """The seconds until all is done, if all workers are busy until its end; of the parts where they are known."""
        return sum(part.seconds or 0.0 for part in self.parts) / self.workers

    @property
    def bytes_on_disk(self) -> float:
        """The bytes of all that is kept, as far as they are known."""
        return sum(part.bytes_on_disk or 0.0 for part in self.parts) + self.result_bytes

    @property
    def knows_all_seconds(self) -> bool:
        """Whether no part takes a time that is not known."""
        return all(part.seconds is not None for part in self.parts)
