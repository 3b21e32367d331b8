"""Two models on the same questions: the difference, its interval, and McNemar's test."""

from __future__ import annotations

from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokimp.distillation.ask.paired import paired_test
from tokimp.errors import DistillationError

PAIRS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40)


def sides(pairs: list[tuple[bool, bool]]) -> tuple[dict[str, bool], dict[str, bool]]:
    """Return both sides of pairs by question."""
    return {f"q{i}": a for i, (a, _) in enumerate(pairs)}, {f"q{i}": b for i, (_, b) in enumerate(pairs)}


@given(PAIRS)
def test_the_test_is_exact_and_has_two_sides(pairs: list[tuple[bool, bool]]) -> None:
    """The p-value is the binomial sum over divisions no likelier than the one seen; swapping sides swaps signs."""
    first, second = sides(pairs)
    found, swapped = paired_test(first, second), paired_test(second, first)
    a, b = sum(x and not y for x, y in pairs), sum(y and not x for x, y in pairs)
    total = a + b
    expected = sum(comb(total, k) for k in range(total + 1) if comb(total, k) <= comb(total, a)) / 2**total
    assert found.p_value == pytest.approx(expected)
    assert (found.only_first, found.only_second, found.n) == (a, b, len(pairs))
    assert found.difference == pytest.approx((a - b) / len(pairs))
    assert -1 <= found.low < found.high <= 1
    assert swapped.difference == pytest.approx(-found.difference)
    assert swapped.p_value == found.p_value


def test_a_clear_difference_is_seen_and_none_is_not() -> None:
    """Twenty questions against two are no accident; the same answers are no difference at all."""
    better = {f"q{index}": index < 60 for index in range(100)}
    worse = {f"q{index}": index < 40 or index >= 98 for index in range(100)}
    found = paired_test(better, worse)
    assert found.p_value < 0.001
    assert 0 < found.low < 0.18 < found.high
    same = paired_test(better, dict(reversed(better.items())))
    assert (same.difference, same.p_value) == (0, 1)
    # A hundred questions without a disagreement leave room for differences of a few percent.
    assert same.low == -same.high
    assert 0.01 < same.high < 0.05
    assert paired_test(better, worse) == found


def test_other_questions_are_refused() -> None:
    """Questions on one side only, and no questions, are errors that say so."""
    with pytest.raises(DistillationError, match=r"the same questions .* 2 are on one only \('a' first\)"):
        paired_test({"a": True, "c": True}, {"b": True, "c": True})
    with pytest.raises(DistillationError, match="no question to compare on"):
        paired_test({}, {})
