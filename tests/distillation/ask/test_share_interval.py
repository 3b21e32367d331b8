"""The interval around a share of right answers."""

from __future__ import annotations

import pytest

from tokimp.distillation.ask.share_interval import share_interval


def test_wilsons_interval_is_the_formula() -> None:
    """The interval is Wilson's, worked out by hand; the bootstrap's is near it for a share in the middle."""
    n, share, z = 200, 0.4, 1.959963984540054
    right = [True] * 80 + [False] * 120
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * (share * (1 - share) / n + z**2 / (4 * n**2)) ** 0.5 / (1 + z**2 / n)
    assert share_interval(right) == pytest.approx((middle - half, middle + half))
    assert share_interval(right, interval="bootstrap") == pytest.approx((middle - half, middle + half), abs=0.02)
    assert share_interval([True] * 9, interval="bootstrap") == (1, 1)
    assert share_interval([True] * 9)[1] == 1
