"""What a plan will cost, from trials of its models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tokimp.bench.work_forecast import PartCost, WorkForecast
from tokimp.contracts.registry import load_executor
from tokimp.distillation.plan.plan import Plan
from tokimp.distillation.steps import cost
from tokimp.distillation.steps.cell_steps import CellStep, steps
from tokimp.distillation.steps.cost import PendingPlan, PlanAssumptions, forecast_plan
from tokimp.distillation.steps.distill import left_of
from tokimp.distillation.steps.forecast import forecast
from tokimp.distillation.steps.trial import Trial
from tokimp.errors import ResumeError
from tokimp.storage.atomic import write_object


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


def by_what(found: WorkForecast | None) -> dict[str, PartCost]:
    """Return the parts of a forecast by what is done."""
    assert found is not None
    return {part.what: part for part in found.parts}


@pytest.fixture
def one_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every model write and read one token a second in a gigabyte, without being loaded."""
    monkeypatch.setattr(cost, "try_model", lambda *_, **__: Trial(1.0, 10**9))


@pytest.mark.usefixtures("one_a_second")
def test_seconds_are_amounts_divided_by_rates(tmp_path: Path) -> None:
    """At one token a second, sampling, pruning and tests take as many seconds as tokens, and training three times."""
    plan = plan_of()
    found = forecast_plan(pending(plan, tmp_path))
    assert found is not None
    trained = next(amount for amount in forecast(plan) if amount.what == "positions to train")
    assert found.seconds == pytest.approx(found.positions + 2 * trained.number)
    assert found.knows_all_seconds
    assert [part.pieces for part in found.parts] == [20, 10, 10, 3, 20]
    assert found.notes == ("cells: 1 untrained, 1 unpruned, 2 pruned",)


def test_prompts_are_read_for_each_response(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty responses to prompts of a second each take twenty seconds more than their tokens."""
    plan, added = plan_of(), []
    for a_prompt in (0.0, 1.0):
        monkeypatch.setattr(cost, "try_model", lambda *_, a=a_prompt, **__: Trial(1.0, None, a))
        added.append(by_what(forecast_plan(pending(plan, tmp_path)))["tokens to sample"].seconds or 0.0)
    assert added[1] - added[0] == pytest.approx(20)


@pytest.mark.usefixtures("one_a_second")
def test_what_is_done_is_not_counted(tmp_path: Path) -> None:
    """Only students left: nothing to sample or prune; nothing left: no forecast."""
    plan = plan_of()
    left = forecast_plan(pending(plan, tmp_path, CellStep))
    assert left is not None
    whats = {"positions to train", "tokens to test"}
    numbers = [one.number for one in forecast(plan) if one.what in whats]
    assert left.positions == pytest.approx(sum(numbers))
    assert left.notes[1] == "3 of 7 steps are not counted: they are done, or not asked for"
    assert forecast_plan(PendingPlan(plan, tmp_path, [], load_executor("local"))) is None


@pytest.mark.usefixtures("one_a_second")
def test_memory_is_said_where_a_trial_shows_it(tmp_path: Path) -> None:
    """A training takes more than a trial of reading, so nothing is said of it."""
    parts = by_what(forecast_plan(pending(plan_of(), tmp_path)))
    assert parts["tokens to sample"].memory == parts["positions to prune"].memory == 10**9
    assert parts["positions to train"].memory is None


def test_models_are_tried(tmp_path: Path) -> None:
    """The embedded model writes and reads some tokens in a second, as teacher, pruner and student."""
    found = forecast_plan(pending(plan_of(methods=["uniform"]), tmp_path))
    assert found is not None
    assert 1.0 < found.positions / found.seconds < 1e6
    assert (by_what(found)["tokens to test"].memory or 0) > 1e7


@pytest.mark.slow
def test_a_model_that_is_not_here_loses_no_amounts(tmp_path: Path) -> None:
    """Its times are not known and a note says why; nothing is fetched, and other models have their times."""
    plan = plan_of(students=["owner/student"], methods=["uniform"])
    found = forecast_plan(pending(plan, tmp_path), PlanAssumptions(fetches=False))
    assert found is not None
    parts, amounts = by_what(found), {amount.what: amount for amount in forecast(plan)}
    assert parts["tokens to sample"].seconds is not None
    for what in ("positions to train", "tokens to test"):
        assert parts[what].seconds is None
        assert parts[what].positions == amounts[what].number
    assert not found.knows_all_seconds
    assert found.notes[1:] == (
        "not tried: the weights of 'owner/student' are not here, and nothing is fetched for an estimate",
    )


@pytest.mark.slow
def test_a_model_that_cannot_be_loaded_loses_no_amounts(tmp_path: Path) -> None:
    """A folder of damaged weights is said to be what it is."""
    student = tmp_path / "student"
    student.mkdir()
    (student / "config.json").write_text("{}")
    (student / "model.safetensors").write_bytes(b"nothing")
    found = forecast_plan(pending(plan_of(students=[str(student)], methods=["uniform"]), tmp_path))
    assert found is not None
    assert by_what(found)["tokens to test"].seconds is None
    assert "not tried: " in found.notes[1]
    assert str(student) in found.notes[1]


def test_weights_larger_than_the_memory_are_not_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An estimate is not to bring the machine down."""
    monkeypatch.setattr("tokimp.distillation.steps.trial.total_memory", lambda _: 10**6)
    found = forecast_plan(pending(plan_of(methods=["uniform"]), tmp_path), PlanAssumptions(fetches=False))
    assert found is not None
    assert found.seconds == 0
    assert "the weights of 'tiny' are 0.0 GB, and cpu has 0.0 GB" in found.notes[1]


def test_amounts_alone_need_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without trials, amounts and disk are known, and no time."""

    def refuse(*_: Any, **__: Any) -> Trial:
        raise AssertionError("a model was tried")

    monkeypatch.setattr(cost, "try_model", refuse)
    found = forecast_plan(pending(plan_of(), tmp_path), PlanAssumptions(tries=False))
    assert found is not None
    assert found.positions == pytest.approx(sum(one.number for one in forecast(plan_of()) if one.models))
    assert {part.seconds for part in found.parts} == {None}
    assert found.bytes_on_disk > 1e6


def test_shapley_knows_what_it_takes() -> None:
    """A pruner that asks about many subsets is not taken for one that deletes each unit once."""
    positions = {
        amount.whose.rpartition(": ")[2]: amount
        for amount in forecast(plan_of(methods=["leave_one_out", "shapley"]), reasoning_tokens=60)
        if amount.what == "positions to prune"
    }
    assert positions["shapley"].number > 4 * positions["leave_one_out"].number
    assert "the method's own estimate" in positions["shapley"].how


def test_a_folder_of_another_plan_is_refused_as_when_it_is_followed(tmp_path: Path) -> None:
    """Only a cell that is to be done again may have been another plan's."""
    plan = plan_of()
    cell = next(step for step in steps(plan, tmp_path) if isinstance(step, CellStep))
    cell.folder.mkdir(parents=True)
    write_object(cell.folder / "step.json", {"what": "another"})
    local = load_executor("local")
    with pytest.raises(ResumeError, match="was made for another plan"):
        left_of(plan, tmp_path, local)
    assert left_of(plan, tmp_path, local, only=cell.cell.name, redo=True).unfinished[-1].name == cell.name
