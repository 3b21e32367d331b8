"""The executor ``local``: all pieces in this process, one after the other, in the order of the run."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence

from tokimp.contracts.executor import Executor, Outcome, Piece, Work, Workers, attempt


class LocalExecutor(Executor):
    """Does every piece in this process, one after the other: the default."""

    name = "local"
    here = True

    def run(
        self, work: Work, pieces: Sequence[Piece], watch: Callable[[Workers], None]
    ) -> Generator[Outcome, None, None]:
        """Do the pieces in their order; the next one is begun when the outcome of the last was taken."""
        if not pieces:
            return
        do = work.prepare()
        watch(Workers(alive=1))
        for piece in pieces:
            yield attempt(do, piece)
