"""MATH as a task: problems and boxed answers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import datasets
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokimp.distillation.tasks.math import INSTRUCTION, Math
from tokimp.errors import ChainError, TaskError

TASK = Math()


@pytest.mark.parametrize(
    ("response", "parts"),
    [
        (
            r"We add. Thus, the final answer is: \boxed{\frac{1}{2}}. Done.",
            ("We add.", r"Thus, the final answer is: \boxed{\frac{1}{2}}."),
        ),
        ("We add.\n\\[\n\\boxed{7}\n\\]\nDone", ("We add.", "\\[\n\\boxed{7}\n\\]")),
        ("We add.\nThe answer is:\n\n$$\\boxed{7}$$", ("We add.", "The answer is:\n\n$$\\boxed{7}$$")),
        (r"First \boxed{6}? No. It is $\boxed {7}$.", (r"First \boxed{6}? No.", r"It is $\boxed {7}$.")),
        (r"It is $\boxed{7}$", ("", r"It is $\boxed{7}$")),
        (r"So 6. It is \boxed{7}, not \boxed{}.", ("So 6.", r"It is \boxed{7}")),
        (r"It is \boxed{\frac{1}{2", None),
        ("It is 7.", None),
    ],
)
def test_where_a_response_is_divided(response: str, parts: tuple[str, str] | None) -> None:
    """The sentence with the last filled and closed box is the answer, with the display it stands in."""
    assert TASK.split(response) == parts


@pytest.mark.parametrize(
    ("value", "gold", "right"),
    [
        ("0.5", r"\frac12", True),
        (r"2\sqrt{3}", r"\sqrt{12}", True),
        (r"(3,4)", r"\left(3,\! 4\right)", True),
        (r"\text{Evelyn}", "Evelyn", True),
        (r"90^\circ", "90", True),
        (r"5\text{ cm}^2", "5", True),
        ("5", r"5\mbox{ inches}", True),
        (r"12\text{ and }13", "12", False),
        (r"\text{Evelyn}", "Evan", False),
        ("(3,4)", "(4,3)", False),
        ("7", "8", False),
        ("1", "0,1", False),
        ("3,1", "1,3", True),
        ("1,234", "1234", True),
        ("4:45 p.m.", r"\text{4:30 p.m.}", False),
        (r"1+\frac{1}{\mathrm{e}}", r"1-\frac{1}{\mathrm{e}}", False),
        ("4210_5", "4210_{7}", False),
        (r"5\text{ cm}", r"5\text{ m}", False),
        ("seven", "7", None),
    ],
)
def test_whether_an_answer_is_right(value: str, gold: str, right: bool | None) -> None:
    """Expressions are equal by value, names as text, a unit on one side aside; what is not shown is not right."""
    assert TASK.is_right(rf"Thus, the final answer is: $\boxed{{{value}}}$.", gold) is right


def test_an_answer_without_a_box_is_not_right() -> None:
    """A text without a box says nothing, even where it names the right number."""
    assert TASK.is_right("It is 7.", "7") is False


@given(st.text(st.characters(exclude_characters="\\{}", exclude_categories=["Cs"])), st.integers(0, 10**9))
def test_any_reasoning_gives_its_value_back(reasoning: str, value: int) -> None:
    """Whatever comes before, the boxed number is found, and no character of a response is in both parts."""
    response = rf"{reasoning} \boxed{{{value}}}"
    parts = TASK.split(response)
    assert parts is not None
    assert TASK.value(parts[1]) == str(value)
    assert len(parts[0]) + len(parts[1]) <= len(response)


def write(folder: Path, *records: dict[str, Any]) -> Path:
    """Write records to a file."""
    path = folder / "algebra.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def test_problems_are_questions(tmp_path: Path) -> None:
    """A record gives its problem with the instruction, and as the right answer its field or its solution's last box."""
    solved = {"problem": "What is 3+4?", "level": "Level 1", "solution": r"First \boxed{6}, then \boxed{\frac{14}{2}}."}
    given_answer = {"problem": "What is 3+5?", "answer": "8", "solution": "Eight."}
    one, other = TASK.questions(write(tmp_path, solved, given_answer))
    assert (re.sub("[0-9a-f]{10}", "*", one.id), one.gold) == ("math-*", r"\frac{14}{2}")
    assert one.text == f"What is 3+4?\n\n{INSTRUCTION}"
    assert other.gold == "8"


def test_a_problem_without_a_right_answer_is_an_error(tmp_path: Path) -> None:
    """No box, an empty answer and a missing field are errors with file and line."""
    with pytest.raises(ChainError, match=r"algebra\.jsonl:1: .*'solution' has no"):
        TASK.questions(write(tmp_path, {"problem": "p", "solution": "s"}))
    with pytest.raises(TaskError, match=r"algebra\.jsonl:1: .*the right answer is empty"):
        TASK.questions(write(tmp_path, {"problem": "p", "answer": " "}))
    with pytest.raises(ChainError, match=r"algebra\.jsonl:1: .*the field 'problem' is missing"):
        TASK.questions(write(tmp_path, {"question": "p", "answer": "7"}))


def test_all_subjects_are_read_from_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a source the seven subjects are read one after the other; a problem that stands twice is one question."""
    asked: list[tuple[str, str | None, str]] = []

    def load_dataset(path: str, name: str | None, *, split: str) -> datasets.Dataset:
        asked.append((path, name, split))
        rows = [{"problem": f"{name} {number}?", "solution": r"\boxed{7}"} for number in (1, 2, 2)]
        return datasets.Dataset.from_list(rows)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    questions = TASK.questions(split="train")
    assert len(questions) == len({question.id for question in questions}) == 14
    assert {(path, split) for path, _, split in asked} == {("EleutherAI/hendrycks_math", "train")}
