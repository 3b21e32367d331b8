"""Executor: the contract of where independent pieces of work are done (here, in several processes, on a cluster)."""

from __future__ import annotations

import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ClassVar, Self

from tokimp.contracts.parameters import Parameterized
from tokimp.errors import ExecutorError

Do = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Piece:
    """What is done as a whole, on its own, and after the death of a worker done again: a cell, for example.

    Attributes
    ----------
    index
        Its place among the pieces of a run.
    name
        What messages call it: ``chain 'c0' by greedy``.
    payload
        What the function that `Work.prepare` returns is called with. It can be pickled.
    weight
        How long it takes compared with the others. Where several workers wait, the heaviest goes out first.
    cells
        The number of cells in it; a limit on the time of a cell counts for each of them.
    """

    index: int
    name: str
    payload: Any
    weight: float = 1.0
    cells: int = 1


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a piece has no result.

    Attributes
    ----------
    error
        What it raised; an `ExecutorError` if its workers died or took too long.
    traceback
        Where it was raised, as Python writes it; empty for a worker that died.
    type
        The name of the type of what was raised first, if `error` was made of it.
    """

    error: Exception
    traceback: str = ""
    type: str = ""

    @classmethod
    def of(cls, error: Exception) -> Failure:
        """Return the failure that an exception is, with its traceback and those of its causes."""
        return cls(error, "".join(traceback.format_exception(error)), type(error.__cause__ or error).__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a piece: its result or, if it has none, why.

    Attributes
    ----------
    piece
        The piece.
    result
        What the function returned for it.
    failure
        Why there is no result.
    threads
        The number of threads of torch that it was done with, where it was not done in this process; it can change last
        bits.
    """

    piece: Piece
    result: Any = None
    failure: Failure | None = None
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class Workers:
    """How the workers of an executor fare.

    Attributes
    ----------
    alive
        The number of workers that are ready for pieces or at work on one.
    lost
        How often a worker has died, or was ended because it took too long or could not go on.
    """

    alive: int
    lost: int = 0


class Work(ABC):
    """What is done with every piece: data that each worker is sent once, and makes ready once.

    Attributes
    ----------
    device
        Where its model is to be loaded, as for `tokimp.load_scorer`; an executor gives each worker a GPU of its own
        unless this names a CPU or a certain GPU.
    """

    device: str = "cpu"

    @abstractmethod
    def prepare(self) -> Do:
        """Load what every piece needs, such as a model; return the function that turns a payload into a result."""

    def fault(self, result: Any) -> str:
        """Return what in a result shows that its worker cannot go on (memory ran out, a GPU failed); else nothing.

        The piece is then done again by a new worker. After the last try its result counts as it is.
        """
        return ""


class Executor(Parameterized, ABC):
    """Does pieces of work, and yields what came of each; the one class a package with another cluster subclasses.

    It is found by name through the entry points ``tokimp.executors``. It decides where and in which order pieces are
    done, never what comes out: each piece starts from a seed of its own and depends on no other, so that every executor
    gives the same numbers. It is a context manager: workers started inside the block are ended with it, and keep their
    model until then. `tokimp.testing.check_executor` checks the rules below.

    Attributes
    ----------
    here
        Whether pieces are done in this process, so that work may hold objects that cannot be sent to another one.

    Examples
    --------
    An executor that does the last piece first:

    >>> class Backwards(Executor):
    ...     name = "backwards"
    ...     here = True
    ...
    ...     def run(self, work, pieces, watch):
    ...         do = work.prepare()
    ...         for piece in reversed(pieces):
    ...             yield attempt(do, piece)
    >>> class Doubling(Work):
    ...     def prepare(self):
    ...         return lambda number: 2 * number
    >>> pieces = [Piece(0, "one", 1), Piece(1, "two", 2)]
    >>> [outcome.result for outcome in Backwards().run(Doubling(), pieces, print)]
    [4, 2]
    """

    _error = ExecutorError
    here: ClassVar[bool] = False
    _entered: int = 0

    @abstractmethod
    def run(
        self, work: Work, pieces: Sequence[Piece], watch: Callable[[Workers], None]
    ) -> Generator[Outcome, None, None]:
        """Do all pieces; yield one outcome for each, as soon as it is there.

        What a piece raises is its outcome, and the others are done all the same. Whoever has seen enough closes the
        iterator: pieces under way are given up then.

        Parameters
        ----------
        work
            What is done with them.
        pieces
            The pieces, in the order of the run.
        watch
            Called whenever the number of workers changes.

        Raises
        ------
        ExecutorError
            If no worker can be started, with the reason.
        """

    def size(self, work: Work) -> int:
        """Return how many pieces are done at once, as far as it is known; 1 by default."""
        return 1

    def start(self) -> None:
        """Open what runs share, such as the connection to a cluster; called once, before the first run."""

    def stop(self) -> None:
        """End all workers; called once, after the last run, whatever happened."""

    def __enter__(self) -> Self:
        if not self._entered:
            self.start()
        self._entered += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._entered -= 1
        if not self._entered:
            self.stop()


def attempt(do: Do, piece: Piece) -> Outcome:
    """Do one piece here; what it raises is its outcome."""
    try:
        return Outcome(piece, do(piece.payload))
    except Exception as error:  # noqa: BLE001 - whoever asked for the piece decides what becomes of it
        return Outcome(piece, failure=Failure.of(error))
