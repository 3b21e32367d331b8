"""What every task is drawn from, and how tasks are asked for by name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokimp.contracts import discovery, registry
from tokimp.contracts.registry import load_task
from tokimp.contracts.task import Question, Task, draw
from tokimp.errors import PluginError, TaskError

QUESTIONS = [Question(f"q{index}", f"{index}?", str(index)) for index in range(40)]


@given(st.integers(1, 50), st.integers(1, 50), st.integers(0, 2**32 - 1))
def test_a_higher_limit_only_adds(low: int, high: int, seed: int) -> None:
    """As many are drawn as asked for, in their order, and a higher limit draws those of a lower one too."""
    low, high = sorted((low, high))
    few, many = draw(QUESTIONS, low, seed), draw(QUESTIONS, high, seed)
    assert len(few) == min(low, len(QUESTIONS))
    assert set(few) <= set(many)
    assert many == sorted(many, key=QUESTIONS.index)


def test_the_seed_decides_which_are_drawn() -> None:
    """One seed draws the same questions always, another seed others; without a limit all are there."""
    assert draw(QUESTIONS, 10, 1) == draw(list(QUESTIONS), 10, 1)
    assert draw(QUESTIONS, 10, 1) != draw(QUESTIONS, 10, 2)
    assert draw(QUESTIONS, 10, 1) != QUESTIONS[:10]
    assert draw(QUESTIONS, None, 1) == QUESTIONS


def test_what_cannot_be_drawn_is_refused() -> None:
    """A limit below 1 and an id that two questions share are errors that say so."""
    with pytest.raises(TaskError, match="limit must be at least 1, not 0"):
        draw(QUESTIONS, 0, 0)
    with pytest.raises(TaskError, match="two questions have the id 'q3'"):
        draw([*QUESTIONS, QUESTIONS[3]], None, 0)


@pytest.mark.parametrize("name", ["gsm8k", "math", "mmlu_pro", "word_problems"])
def test_the_tasks_are_plugins(name: str) -> None:
    """Each task is loaded by its name, with parameters where it has some, and allows its own defaults."""
    task = load_task(name)
    task.validate_parameters()
    assert (task.name, task.label) == (name, name)
    assert load_task(task) is task


def test_a_task_has_its_parameters_in_its_label() -> None:
    """Parameters are given as for an estimator, checked by name, and read back from the label."""
    task = load_task("word_problems:steps=[2,3]")
    assert load_task(task.label).parameters() == {"steps": [2, 3]}
    with pytest.raises(PluginError, match="task 'gsm8k' has no parameter 'shots'; it has instruction"):
        load_task("gsm8k:shots=5")


def test_a_stranger_registers_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """A class registered in this process is found by name; what is no task is refused."""
    monkeypatch.setattr(discovery, "registered", {kind: {} for kind in registry.KINDS})

    class Mine(Task):
        name = "mine"

        def questions(self, source=None, *, limit=None, seed=0, split="test"):  # type: ignore[no-untyped-def]
            return draw(QUESTIONS, limit, seed)

        def split(self, response: str) -> tuple[str, str] | None:
            return None

        def is_right(self, answer: str, gold: str) -> bool:
            return False

    registry.register_task("mine")(Mine)
    assert isinstance(load_task("mine"), Mine)
    registry.register_task("odd")(dict)
    with pytest.raises(PluginError, match="task 'odd' of this process: builtins:dict is not a subclass of Task"):
        load_task("odd")
