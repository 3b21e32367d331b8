"""Targets, read from a result."""

from __future__ import annotations

import pytest
from tokimp_surrogate.targets import read_targets

from tests.plugins.surrogate.small_runs import LOO, compared
from tokimp.testing.toy_scorer import AdditiveScorer, toy_chain


def test_targets_by_hand() -> None:
    """Of contributions 1 and 3 above -10 nats: what is left without each, along the path, and ranks."""
    scorer = AdditiveScorer({"a": 1.0, "b": 3.0})
    result = compared([toy_chain("ba")], scorer)
    targets = {target.name: target for target in read_targets(result, [])}
    assert list(targets) == ["deleted:leave_one_out", LOO, "path:greedy", "rank:greedy"]
    assert {name: target.values[0].tolist() for name, target in targets.items()} == {
        "deleted:leave_one_out": [pytest.approx(-9), pytest.approx(-7)],
        LOO: [3, 1],
        "path:greedy": [pytest.approx(-10), pytest.approx(-7)],
        "rank:greedy": [1, 0],
    }
    assert [target.sign for target in targets.values()] == [-1, 1, 0, 1]
