"""Does an executor keep the contract? One check for every class that subclasses `Executor`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tokimp.contracts.executor import Executor, Outcome, Piece, Work, Workers
from tokimp.testing.parameter_checks import check_parameters, expect

_PIECES = 6
_RAISES = 2


def check_executor(executor: Executor) -> None:
    """Raise `AssertionError` if an executor breaks the contract of `Executor`.

    The rules:

    - ``__init__`` stores its parameters as given. Name, label, parameters and constraints are well formed.
    - Every piece has one outcome, which holds the piece and its result.
    - What a piece raises is its outcome, with the type and the message; the other pieces are done all the same.
    - Work is made ready by each worker once, not for each piece.
    - A second run inside one block is done as the first; so is one without pieces.
    - An iterator that is closed early leaves the executor usable.
    - `watch` hears of at least one worker that is alive.

    Parameters
    ----------
    executor
        An instance. Its workers are started, with small pieces that take no time.

    Examples
    --------
    >>> from tokimp.compare.executors.local import LocalExecutor
    >>> check_executor(LocalExecutor())
    """
    check_parameters(executor)
    pieces = [Piece(index, f"piece {index}", index, weight=float(index % 3)) for index in range(_PIECES)]
    heard: list[Workers] = []
    with executor:
        first = _run(executor, pieces, heard.append)
        _expect(any(workers.alive > 0 for workers in heard), executor, "watch was never told of a worker that is alive")
        made_ready = {outcome.result[1] for outcome in first.values() if outcome.failure is None}
        alive = max(workers.alive + workers.lost for workers in heard)
        _expect(len(made_ready) <= alive, executor, "work is made ready more often than there are workers")
        _expect(not _run(executor, [], heard.append), executor, "a run without pieces has outcomes")
        unfinished = executor.run(Squares(), pieces, heard.append)
        next(iter(unfinished))
        close = getattr(unfinished, "close", None)
        _expect(close is not None, executor, "run must return an iterator that can be closed, such as a generator")
        unfinished.close()
        _run(executor, pieces, heard.append)


class Squares(Work):
    """Squares numbers; one of them raises."""

    def prepare(self) -> Callable[[int], tuple[int, int]]:
        """Return the function; what it adds to each square says which making ready it comes from."""
        made = object()

        def square(number: int) -> tuple[int, int]:
            if number == _RAISES:
                raise ValueError("not this one")
            return number**2, id(made)

        return square


def _run(executor: Executor, pieces: list[Piece], watch: Callable[[Workers], None]) -> dict[int, Outcome]:
    outcomes: dict[int, Outcome] = {}
    for outcome in executor.run(Squares(), pieces, watch):
        held: Any = outcome
        _expect(isinstance(held, Outcome), executor, f"run yields {held!r}, which is no Outcome")
        _expect(outcome.piece in pieces, executor, f"an outcome is of {outcome.piece!r}, which was not asked for")
        index = outcome.piece.index
        _expect(index not in outcomes, executor, f"{outcome.piece.name} has two outcomes")
        outcomes[index] = outcome
        if index == _RAISES:
            failure = outcome.failure
            _expect(failure is not None, executor, "a piece that raised has no failure")
            error = failure.error if failure is not None else None
            _expect(
                isinstance(error, ValueError) and str(error) == "not this one",
                executor,
                f"a piece raised ValueError('not this one'), and its failure holds {error!r}",
            )
            continue
        _expect(outcome.failure is None, executor, f"{outcome.piece.name} failed: {outcome.failure}")
        _expect(outcome.result[0] == index**2, executor, f"{outcome.piece.name} has the result {outcome.result!r}")
    _expect(len(outcomes) == len(pieces), executor, f"{len(outcomes)} of {len(pieces)} pieces have an outcome")
    return outcomes


def _expect(holds: bool, executor: Executor, message: str) -> None:
    expect(holds, f"{executor.name}: {message}")
