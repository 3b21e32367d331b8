"""How long a plan will take, from trials of its models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tokimp.contracts.registry import load_executor
from tokimp.distillation.plan.plan import Plan
from tokimp.distillation.steps import cost
from tokimp.distillation.steps.cell_steps import CellStep, steps
from tokimp.distillation.steps.cost import PendingPlan, forecast_plan
from tokimp.distillation.steps.forecast import forecast


def plan_of(**changes: Any) -> Plan:
    """Return a plan of the embedded model alone."""
    values: dict[str, Any] = {
        "task": "word_problems",
        "questions": {"limit": 10},
        "test": {"limit": 5},
        "teachers": ["tiny"],
        "students": ["tiny"],
        "methods": ["uniform", "shapley"],
        "keep_ratios": [0.5],
        "sample": {"n": 2, "max_new_tokens": 90},
    }
    return Plan.of({**values, **changes})


def pending(plan: Plan, folder: Path, kinds: Any = object) -> PendingPlan:
    """Return what is left of a plan, of some kinds of steps."""
    left = [step for step in steps(plan, folder) if isinstance(step, kinds)]
    return PendingPlan(plan, folder, left, load_executor("local"))


def test_seconds_are_amounts_divided_by_rates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At one token a second, sampling, pruning and tests take as many seconds as tokens, and training three times."""
    monkeypatch.setattr(cost, "_rate", lambda *_: 1.0)
    plan = plan_of()
    found = forecast_plan(pending(plan, tmp_path))
    assert found is not None
    trained = next(amount for amount in forecast(plan) if amount.what == "positions to train")
    assert found.seconds == pytest.approx(found.positions + 2 * trained.number)
    assert found.pieces == 1 + 2 + 4


def test_what_is_done_is_not_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only students left: nothing to sample or prune; nothing left: no forecast."""
    monkeypatch.setattr(cost, "_rate", lambda *_: 1.0)
    plan = plan_of()
    left = forecast_plan(pending(plan, tmp_path, CellStep))
    assert left is not None
    whats = {"positions to train", "tokens to test"}
    numbers = [one.number for one in forecast(plan) if one.what in whats]
    assert left.positions == pytest.approx(sum(numbers))
    assert forecast_plan(PendingPlan(plan, tmp_path, [], load_executor("local"))) is None


def test_models_are_tried(tmp_path: Path) -> None:
    """The embedded model writes and reads some tokens in a second, as teacher, pruner and student."""
    found = forecast_plan(pending(plan_of(methods=["uniform"]), tmp_path))
    assert found is not None
    assert 1.0 < found.positions / found.seconds < 1e6
    assert found.tried == "2 models, some seconds each"


def test_shapley_knows_what_it_takes() -> None:
    """A pruner that asks about many subsets is not taken for one that deletes each unit once."""
    positions = {
        amount.whose.rpartition(": ")[2]: amount
        for amount in forecast(plan_of(methods=["leave_one_out", "shapley"]), reasoning_tokens=60)
        if amount.what == "positions to prune"
    }
    assert positions["shapley"].number > 4 * positions["leave_one_out"].number
    assert "the method's own estimate" in positions["shapley"].how
