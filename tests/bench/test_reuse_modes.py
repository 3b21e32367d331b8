"""Estimators of the reuse modes."""

from __future__ import annotations

import pytest

from tokimp.bench.reuse_modes import ReuseMode, estimator_for
from tokimp.errors import EstimatorError, PluginError


def test_another_estimator_can_be_the_fast_mode() -> None:
    """The specification of the fast mode is used, with the keep ratio; one that takes no keep ratio is refused."""
    estimator = estimator_for(ReuseMode.FAST, 0.25, "greedy:strategy=fast,beam=3")
    assert estimator.parameters() | {"keep_ratio": 0.25, "beam": 3, "strategy": "fast"} == estimator.parameters()
    with pytest.raises((PluginError, EstimatorError)):
        estimator_for(ReuseMode.FAST, 0.25, "attention")
