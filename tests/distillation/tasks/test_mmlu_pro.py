"""MMLU-Pro as a task: options in the question, a letter as the answer."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tokimp.distillation.tasks.mmlu_pro import INSTRUCTION, MmluPro
from tokimp.errors import ChainError, TaskError

REAL = Path(__file__).parents[3] / ".." / "shared" / "data" / "mmlu_pro" / "llama-3.1-8b-instruct.math.jsonl"
needs_data = pytest.mark.skipif(not REAL.exists(), reason="../shared/data with MMLU-Pro responses is not there")
TASK = MmluPro()
RECORD: dict[str, Any] = {"question_id": 7, "question": "What is 3 + 4?", "options": ["6", "7"], "answer": "B"}


def write(folder: Path, *records: dict[str, Any]) -> Path:
    """Write records to a file."""
    path = folder / "math.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("response", "parts"),
    [
        ("We add. The answer is (B). Check: 7.", ("We add.", "The answer is (B).")),
        ("The answer is (A).\nNo. The answer is (B)", ("The answer is (A).\nNo.", "The answer is (B)")),
        ("We add, e.g. once. So the answer is (B)", ("We add, e.g. once.", "So the answer is (B)")),
        ("We add. Thus, the final answer is: B", ("We add.", "Thus, the final answer is: B")),
        ("We add.\n**The correct answer is: (B)**\n", ("We add.", "**The correct answer is: (B)**")),
        ("We add. The answer is B.", ("We add.", "The answer is B.")),
        ("The answer is (B).", ("", "The answer is (B).")),
        ("The answer is A good one.", None),
        ("The answer is not (B).", None),
        ("We choose (B).", None),
        ("The answer is (", None),
    ],
)
def test_where_a_response_is_divided(response: str, parts: tuple[str, str] | None) -> None:
    """The last sentence that says what the answer is, in one of the ways that models say it, is the answer."""
    assert TASK.split(response) == parts


def test_letters_are_compared() -> None:
    """The letter is right or not; a text without one is not right."""
    assert TASK.is_right("So the answer is (B).", "B")
    assert TASK.is_right("Thus, the final answer is: B", "b")
    assert not TASK.is_right("The answer is (A).", "B")
    assert not TASK.is_right("B", "B")


def test_options_are_in_the_question(tmp_path: Path) -> None:
    """Options are lettered lines between question and instruction."""
    (question,) = TASK.questions(write(tmp_path, RECORD), split="all")
    assert question.text == f"What is 3 + 4?\nA. 6\nB. 7\n\n{INSTRUCTION}"
    assert (question.id, question.gold) == ("mmlu_pro-7", "B")


def test_a_question_is_for_training_or_for_testing(tmp_path: Path) -> None:
    """The splits divide the questions, near the share asked for, whatever the instruction; no text is in both."""
    path = write(tmp_path, *({**RECORD, "question_id": n, "question": f"{n % 300}?"} for n in range(600)))
    task = MmluPro(test_share=0.3)
    train, test, every = (task.questions(path, split=split) for split in ("train", "test", "all"))
    assert sorted([*train, *test], key=lambda question: question.id) == sorted(every, key=lambda question: question.id)
    assert 0.2 < len(test) / len(every) < 0.4
    assert not {question.text for question in train} & {question.text for question in test}
    bare = MmluPro(instruction="", test_share=0.3).questions(path, split="test")
    assert [question.id for question in bare] == [question.id for question in test]


def test_what_it_cannot_give_is_refused(tmp_path: Path) -> None:
    """An unknown split, a share that leaves a side empty and a broken record are errors that name them."""
    with pytest.raises(TaskError, match="no split 'validation'"):
        TASK.questions(write(tmp_path, RECORD), split="validation")
    with pytest.raises(TaskError, match=r"test_share=1\.0 is not allowed"):
        MmluPro(test_share=1.0).questions(write(tmp_path, RECORD))
    with pytest.raises(ChainError, match=r"math\.jsonl:1: .*'C' is not a letter of A to B"):
        TASK.questions(write(tmp_path, {**RECORD, "answer": "C"}))


@needs_data
def test_the_recorded_judgements_are_ours() -> None:
    """Of 1351 real responses 1083 have an answer; 563 are right, as recorded. The other 27 flagged right are guesses.

    Where a response was cut off before its answer, the evaluation that recorded it drew a letter at random.
    """
    parsed, right, guessed = 0, 0, 0
    for line in REAL.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        flag = record["prediction"] == record["gold"]
        parts = TASK.split(record["response"])
        if parts is None:
            guessed += flag
            continue
        parsed += 1
        right += flag
        assert TASK.is_right(parts[1], record["gold"]) is flag
    assert (parsed, right, guessed) == (1083, 563, 27)
    assert right + guessed == 590


@pytest.mark.parametrize(
    "text", ["*" * 50_000, "The answer is " + "*" * 50_000, "the " * 20_000, "answer is (" * 10_000]
)
def test_a_long_row_of_signs_is_read_at_once(text: str) -> None:
    """The time that looking for the letter takes grows with the length of the text, not with its square."""
    start = time.perf_counter()
    MmluPro().split(text)
    assert time.perf_counter() - start < 5
