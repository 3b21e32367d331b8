"""The contract of executors: what `check_executor` accepts, and what it says of those that break a rule."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace

import pytest

import tokimp as ti
from tokimp.compare.executors.local import LocalExecutor
from tokimp.contracts.executor import Executor, Outcome, Piece, Work, Workers, attempt
from tokimp.contracts.registry import load_executor
from tokimp.errors import PluginError
from tokimp.testing import check_executor


class Broken(Executor):
    """Does pieces here, in a way that a subclass spoils."""

    name = "broken"
    here = True

    def run(
        self, work: Work, pieces: Sequence[Piece], watch: Callable[[Workers], None]
    ) -> Generator[Outcome, None, None]:
        """Do the pieces in order."""
        watch(Workers(1))
        do = work.prepare()
        for piece in pieces:
            yield from self.spoilt(attempt(do, piece))

    def spoilt(self, outcome: Outcome) -> Iterator[Outcome]:
        """Yield what comes of an outcome."""
        yield outcome


class Loses(Broken):
    """Forgets a piece."""

    def spoilt(self, outcome: Outcome) -> Iterator[Outcome]:
        """Yield all but one."""
        if outcome.piece.index != 4:
            yield outcome


class Repeats(Broken):
    """Yields an outcome twice."""

    def spoilt(self, outcome: Outcome) -> Iterator[Outcome]:
        """Yield it twice."""
        yield outcome
        yield outcome


class Hides(Broken):
    """Hides what a piece raised."""

    def spoilt(self, outcome: Outcome) -> Iterator[Outcome]:
        """Take the failure away."""
        yield replace(outcome, failure=None)


class Silent(Broken):
    """Tells nobody about its worker."""

    def run(
        self, work: Work, pieces: Sequence[Piece], watch: Callable[[Workers], None]
    ) -> Generator[Outcome, None, None]:
        """Do the pieces in order."""
        yield from super().run(work, pieces, lambda _: None)


def test_the_local_executor_keeps_the_contract() -> None:
    """Pieces in this process, one after the other, are as the contract asks."""
    check_executor(LocalExecutor())


@pytest.mark.parametrize(
    ("executor", "message"),
    [
        (Loses(), "5 of 6 pieces have an outcome"),
        (Repeats(), "has two outcomes"),
        (Hides(), "a piece that raised has no failure"),
        (Silent(), "watch was never told"),
    ],
)
def test_a_broken_executor_is_told_which_rule_it_breaks(executor: Executor, message: str) -> None:
    """Each rule has a sentence of its own."""
    with pytest.raises(AssertionError, match=message):
        check_executor(executor)


def test_executors_are_found_by_name_with_their_parameters() -> None:
    """A specification names the executor and its parameters, as for every plugin."""
    executor = ti.load_executor("processes:workers=3,retries=0")
    assert executor.parameters() == {"workers": 3, "cell_timeout": None, "retries": 0, "start_timeout": 900.0}
    with pytest.raises(PluginError, match="executor 'local' has no parameter 'workers'"):
        load_executor("local", workers=2)


def test_a_block_inside_a_block_keeps_the_workers() -> None:
    """Workers start with the outermost block and end with it."""
    happened: list[str] = []

    class Noting(LocalExecutor):
        name = "noting"

        def start(self) -> None:
            happened.append("start")

        def stop(self) -> None:
            happened.append("stop")

    executor = Noting()
    with executor, executor:
        assert happened == ["start"]
    assert happened == ["start", "stop"]
