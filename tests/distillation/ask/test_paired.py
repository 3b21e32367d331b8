"""Two models on the same questions: the difference, its interval, McNemar's test and sign flips."""

from __future__ import annotations

from itertools import product
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tokimp.distillation.ask.paired import paired_test, sign_flip_p_value
from tokimp.errors import DistillationError

PAIRS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40)


def sides(pairs: list[tuple[bool, bool]]) -> tuple[dict[str, bool], dict[str, bool]]:
    """Return both sides of pairs by question."""
    return {f"q{i}": a for i, (a, _) in enumerate(pairs)}, {f"q{i}": b for i, (_, b) in enumerate(pairs)}


@given(PAIRS)
def test_the_test_is_exact_and_has_two_sides(pairs: list[tuple[bool, bool]]) -> None:
    """The p-value is the binomial sum over divisions no likelier than the one seen; swapping sides swaps signs."""
    first, second = sides(pairs)
    found, swapped = paired_test(first, second, n_resamples=50), paired_test(second, first, n_resamples=50)
    a, b = sum(x and not y for x, y in pairs), sum(y and not x for x, y in pairs)
    total = a + b
    expected = sum(comb(total, k) for k in range(total + 1) if comb(total, k) <= comb(total, a)) / 2**total
    assert found.p_value == pytest.approx(expected)
    assert (found.only_first, found.only_second, found.n) == (a, b, len(pairs))
    assert found.difference == pytest.approx((a - b) / len(pairs))
    assert found.low <= found.difference <= found.high
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
    assert (same.difference, same.low, same.high, same.p_value) == (0, 0, 0, 1)
    assert paired_test(better, worse) == found


def test_other_questions_are_refused() -> None:
    """Questions on one side only, and no questions, are errors that say so."""
    with pytest.raises(DistillationError, match=r"the same questions .* 2 are on one only \('a' first\)"):
        paired_test({"a": True, "c": True}, {"b": True, "c": True})
    with pytest.raises(DistillationError, match="no question to compare on"):
        paired_test({}, {})


@given(st.integers(1, 9), st.integers(0, 9))
def test_sign_flips_of_whole_differences_are_mcnemars_test(first: int, second: int) -> None:
    """With one seed differences are -1, 0 or 1, and the permutation test is McNemar's exact one."""
    differences = np.array([1.0] * first + [-1.0] * second + [0.0] * 5)
    exact = stats.binomtest(first, first + second, 0.5).pvalue
    found = sign_flip_p_value(differences, n_resamples=20_000)
    assert found == pytest.approx(exact, abs=1e-9 if first + second <= 14 else 0.02)


def test_drawn_sign_flips_come_close_to_all_of_them() -> None:
    """Sampling the flips gives about the p-value of trying all, and the same one every time."""
    differences = np.array([2, 1, 1, -1, 1 / 3, 2 / 3, -1 / 3, 1, 1, 0.5])
    exact = sign_flip_p_value(differences)
    drawn = sign_flip_p_value(differences, n_resamples=1000, seed=1)
    assert drawn == pytest.approx(exact, abs=0.04)
    assert drawn == sign_flip_p_value(differences, n_resamples=1000, seed=1)


def test_no_difference_is_no_evidence() -> None:
    """Where both are right on the same questions, the p-value is 1."""
    assert sign_flip_p_value(np.zeros(10)) == 1.0


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=8))
def test_all_sign_flips_are_tried_where_they_are_few(thirds: list[int]) -> None:
    """The p-value is the share of all ways to choose signs whose sum is as far from 0, counted here one by one."""
    differences = np.array(thirds) / 3
    sums = [
        abs(sum(sign * n for sign, n in zip(signs, thirds, strict=True)))
        for signs in product((1, -1), repeat=len(thirds))
    ]
    expected = sum(total >= abs(sum(thirds)) for total in sums) / len(sums)
    assert sign_flip_p_value(differences) == pytest.approx(expected)


def test_the_p_value_has_a_floor() -> None:
    """However clear a difference, a drawn p-value is no lower than one in as many as were drawn and the data's own."""
    assert sign_flip_p_value(np.ones(100), n_resamples=999) == 1 / 1000
    assert sign_flip_p_value(np.ones(5)) == 2 / 2**5
