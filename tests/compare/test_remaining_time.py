"""The time a run has left."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokimp.chains.chain import TokenizedChain
from tokimp.compare.cell import Cell
from tokimp.compare.remaining_time import RemainingTime
from tokimp.contracts.estimator import Importance
from tokimp.contracts.registry import load_estimator
from tokimp.testing.toy_scorer import toy_chain


def cell(n: int, seconds: float, *, in_sequence: bool = False) -> Cell:
    """Return a finished cell of a chain of n units."""
    order = np.arange(n) if in_sequence else None
    return Cell(Importance(np.arange(n, dtype=float), order), seconds, 0)


def test_time_grows_with_length_as_the_method_does() -> None:
    """From one finished chain, a chain ten times as long is expected to take 10, 100 or 1000 times as long."""
    # With question and answer empty of tokens but one each, 8 and 98 tokens make sequences of 10 and 100.
    short, long = toy_chain("x" * 8, id="short"), toy_chain("x" * 98, id="long")
    estimators = [load_estimator("position"), load_estimator("leave_one_out"), load_estimator("greedy")]
    growth = [10, 10 * 98 / 8, 10 * (98 / 8) ** 2]
    for column, factor in enumerate(growth):
        remaining = RemainingTime([short, long], [estimators[column]])
        assert remaining.seconds_left() is None
        remaining.add(0, 0, cell(8, 0.5, in_sequence=column == 2))
        assert remaining.seconds_left() == pytest.approx(0.5 * factor)
        remaining.add(1, 0, cell(98, 3.0, in_sequence=column == 2))
        assert remaining.seconds_left() == 0


def test_every_estimator_adds_its_time() -> None:
    """The time left is that of all estimators together, once each has finished a chain."""
    chains = [toy_chain("xxx", id=name) for name in ("one", "two", "three")]
    remaining = RemainingTime(chains, [load_estimator("position"), load_estimator("position")])
    remaining.add(0, 0, cell(3, 1.0))
    assert remaining.seconds_left() is None
    remaining.add(0, 1, cell(3, 10.0))
    assert remaining.seconds_left() == pytest.approx(2 * 1 + 2 * 10)
    remaining.add(1, 0, cell(3, 3.0))
    assert remaining.seconds_left() == pytest.approx(1 * 2 + 2 * 10)


def seconds_left_by_walking(
    chains: list[TokenizedChain], exponents: list[int], finished: list[dict[int, Cell]]
) -> float | None:
    """Return the seconds left, computed from all cells anew: the slow twin."""
    total = 0.0
    for exponent, cells in zip(exponents, finished, strict=True):
        if not cells:
            return None
        if any(cell.importance.order is not None for cell in cells.values()):
            exponent = 2  # noqa: PLW2901 - what the results show counts
        weights = [float(len(chain.units) ** exponent * len(chain)) for chain in chains]
        done = sum(weights[index] for index in cells)
        left = sum(weight for index, weight in enumerate(weights) if index not in cells)
        total += left * sum(cell.seconds for cell in cells.values()) / done
    return total


@given(data=st.data())
def test_running_sums_are_what_walking_over_all_cells_gives(data: st.DataObject) -> None:
    """After each cell, in any order and whenever a deletion order shows up, the estimate is that of the slow twin."""
    lengths = data.draw(st.lists(st.integers(1, 60), min_size=1, max_size=6))
    chains = [toy_chain("x" * length, id=str(index)) for index, length in enumerate(lengths)]
    estimators = [load_estimator(name) for name in ("position", "leave_one_out", "greedy")]
    remaining = RemainingTime(chains, estimators)
    finished: list[dict[int, Cell]] = [{} for _ in estimators]
    places = [(chain, column) for chain in range(len(chains)) for column in range(len(estimators))]
    for chain, column in data.draw(st.permutations(places)):
        seconds = data.draw(st.floats(0, 1e6))
        new = cell(lengths[chain], seconds, in_sequence=data.draw(st.booleans()))
        remaining.add(chain, column, new)
        finished[column][chain] = new
        assert remaining.seconds_left() == seconds_left_by_walking(chains, [0, 1, 1], finished)
    assert remaining.seconds_left() == 0


def test_a_cell_that_failed_takes_no_more_time() -> None:
    """What is left out is not waited for, whether it fails before or after others are finished."""
    chains = [toy_chain("x" * 8, id=str(number)) for number in range(4)]
    remaining = RemainingTime(chains, [load_estimator("position")])
    remaining.leave_out(0, 0)
    assert remaining.seconds_left() is None
    remaining.add(1, 0, cell(8, 0.5))
    assert remaining.seconds_left() == pytest.approx(1.0)
    remaining.leave_out(2, 0)
    assert remaining.seconds_left() == pytest.approx(0.5)
    remaining.add(3, 0, cell(8, 0.5))
    assert remaining.seconds_left() == 0
