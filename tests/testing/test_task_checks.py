"""check_task says in words which promise a task broke."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from tokimp.contracts.registry import load_task
from tokimp.contracts.task import Question, Task, draw
from tokimp.testing import check_task

EXAMPLES = [("so -> 3", "3", True), ("so -> 4", "3", False), ("so", "3", None)]


class Good(Task):
    """Numbers, to be repeated after an arrow."""

    name = "good"

    def questions(self, source: Any = None, *, limit: int | None = None, seed: int = 0, split: str = "test") -> Any:
        """Return even numbers for training, odd ones for testing."""
        first = 0 if split == "train" else 1
        return draw([Question(f"n{n}", f"{n}?", str(n)) for n in range(first, 40, 2)], limit, seed)

    def split(self, response: str) -> Any:
        """Divide at the last arrow."""
        reasoning, arrow, answer = response.rpartition("->")
        return (reasoning.strip(), arrow + answer.rstrip()) if arrow else None

    def is_right(self, answer: str, gold: str) -> Any:
        """Compare what follows the arrow."""
        return answer.removeprefix("->").strip() == gold


def test_a_task_that_keeps_the_contract_passes() -> None:
    """A good task passes, and so does one whose source is a single split."""
    check_task(Good(), EXAMPLES)


class Unsure(Good):
    """Knows nothing of answers in words."""

    def is_right(self, answer: str, gold: str) -> Any:
        """Compare what follows the arrow, if it is a number."""
        return super().is_right(answer, gold) if answer[-1].isdigit() else None


def test_a_task_may_not_know() -> None:
    """An example may say that the task does not know, and a task that knows then breaks its promise."""
    check_task(Unsure(), [*EXAMPLES, ("so -> three", "3", "not known")])
    with pytest.raises(AssertionError, match=r"is_right\('-> three', '3'\) is False, not None"):
        check_task(Good(), [*EXAMPLES, ("so -> three", "3", "not known")])


COUNTER = itertools.count()


@pytest.mark.parametrize(
    ("method", "broken", "message"),
    [
        ("questions", lambda *_, **given: [], "limit=2 gives 0 questions"),
        ("questions", lambda *_, **given: [Question("a", "?", "1")] * 2, "two questions have one id"),
        ("questions", lambda *_, **given: [Question("a", "?", " ")], "lacks an id, a text or a right answer"),
        ("questions", lambda *_, **given: [Question("a", "?", "1")], "a question is in both splits"),
        ("questions", lambda *_, **given: [Question("a", str(next(COUNTER)), "1")], "of a lower one too"),
        ("questions", lambda *_, **given: ["what?"], "questions gives a str, not a Question"),
        ("split", lambda response: ("so", "->3", ""), "give None or two texts"),
        ("split", lambda response: (response, ""), "an answer is never empty"),
        ("split", lambda response: (" so", "-> 3") if "->" in response else None, "leave out the white space"),
        ("split", lambda response: ("guessed", "3"), "both must stand in the response as they are"),
        ("split", lambda response: None, r"split\('so -> 3'\) is None, but right is said: True"),
        ("is_right", lambda answer, gold: True, r"is_right\('-> 4', '3'\) is True, not False"),
        ("is_right", lambda answer, gold: None, r"is_right\('-> 3', '3'\) is None, not True"),
        ("is_right", lambda answer, gold: 1, r"is_right\('-> 3', '3'\) is 1, not True"),
    ],
)
def test_each_broken_promise_is_named(method: str, broken: Any, message: str) -> None:
    """A task with one method replaced fails with the promise that it broke."""
    task = Good()
    setattr(task, method, broken)
    with pytest.raises(AssertionError, match=f"good: .*{message}"):
        check_task(task, EXAMPLES)


def test_the_tasks_of_tokimp_keep_the_contract(tmp_path: Path) -> None:
    """All four pass, those that read files on a file of a few records."""
    check_task(load_task("word_problems"), [("a\n#### 7", "7", True), ("#### 7", "8", False), ("a", "7", None)])
    records: dict[str, list[dict[str, Any]]] = {
        "gsm8k": [{"question": f"{n}?", "answer": f"So.\n#### {n}"} for n in range(9)],
        "math": [{"problem": f"{n}?", "solution": rf"\boxed{{{n}}}"} for n in range(9)],
        "mmlu_pro": [{"question_id": n, "question": f"{n}?", "options": ["a", "b"], "answer": "B"} for n in range(40)],
    }
    answers = {
        "gsm8k": ['{"answer": 7}', "7", "8"],
        "math": [r"It is \boxed{7}.", "7", "8"],
        "mmlu_pro": ["The answer is (B).", "B", "A"],
    }
    for name, written in records.items():
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(record) + "\n" for record in written), encoding="utf-8")
        answer, right, wrong = answers[name]
        examples = [(f"First. {answer}", right, True), (answer, wrong, False), ("First.", right, None)]
        splits = ("train", "test") if name == "mmlu_pro" else ("test", "test")
        check_task(load_task(name), examples, source=path, splits=splits)
