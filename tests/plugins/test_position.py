"""Position knows only where a unit stands."""

from __future__ import annotations

import pytest
from tokimp_position import Position

from tokimp.contracts.objective import Joint
from tokimp.testing import AdditiveScorer, check_estimator, toy_chain


@pytest.mark.parametrize(
    ("unit", "expected"), [("token", list(range(11))), ("word", [0, 1, 2, 3]), ("sentence", [0, 1])]
)
def test_later_is_more_important(unit: str, expected: list[int]) -> None:
    """A unit's importance is its index among the chain's units, in any unit, and costs nothing."""
    scorer = AdditiveScorer()
    assert Position().estimate(toy_chain("So 3. Or 4.", unit=unit), scorer, Joint()).scores.tolist() == expected
    assert scorer.tokens_forwarded == 0


def test_it_keeps_the_contract() -> None:
    """Position passes the check that every estimator must pass, and requires nothing of the scorer."""
    check_estimator(Position)
    assert Position.requires == frozenset()
