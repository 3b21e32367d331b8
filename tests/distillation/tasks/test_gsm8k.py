"""GSM8K as a task: questions from its records, answers in JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tokimp as ti
from tokimp.distillation.tasks.gsm8k import INSTRUCTION, Gsm8k
from tokimp.errors import ChainError, TaskError

REAL = Path(__file__).parents[3] / ".." / "shared" / "data" / "gsm8k"
needs_data = pytest.mark.skipif(not REAL.exists(), reason="../shared/data with GSM8K is not there")
TASK = Gsm8k()


@pytest.mark.parametrize(
    ("response", "parts"),
    [
        ('So 18.\n{"answer": 18}', ("So 18.", '{"answer": 18}')),
        ('So 18. {"answer": "18"} I hope', ("So 18.", '{"answer": "18"}')),
        ('So 18.\n```json\n{"answer": 18}\n```\nDone', ("So 18.", '```json\n{"answer": 18}\n```')),
        ('{"answer": 1}? No.\n{\n "answer": "2"\n}', ('{"answer": 1}? No.', '{\n "answer": "2"\n}')),
        ('{"answer": 18}', ("", '{"answer": 18}')),
        ('{"reasoning": "3 {a}", "answer": 18}', ("", '{"reasoning": "3 {a}", "answer": 18}')),
        ('So {x}.\n{"answer": 18} {', ("So {x}.", '{"answer": 18}')),
        ("So 18.\n{'answer': 18}", None),
        ('So 18.\n{"answer": 18', None),
        ('So 18.\n{"answer": ""}', None),
        ('So 18.\n{"answer": "NUMBER"}', None),
        ('So 18.\n{"answer": null}', None),
        ('So 18.\n{"answer": true}', None),
        ('So 18.\n{"answer": [18]}', None),
        ('So 18.\n{"result": 18}', None),
        ("So 18.\n#### 18", None),
        ("{" * 5000, None),
    ],
)
def test_where_a_response_is_divided(response: str, parts: tuple[str, str] | None) -> None:
    """The last JSON object with an answer is the answer, its fence included; what is not JSON is none."""
    assert TASK.split(response) == parts


@pytest.mark.parametrize(
    ("answer", "gold", "right"),
    [
        ('{"answer": 18}', "18", True),
        ('{"answer": "$1,800.00"}', "1800", True),
        ('{"answer": 18.0}', "18", True),
        ('{"answer": 12345678901234567890123}', "12345678901234567890123", True),
        ('{"answer": 12345678901234567890124}', "12345678901234567890123", False),
        ('{"answer": "18 eggs"}', "18", False),
        ('{"answer": 17}', "18", False),
        ('so that {"answer": "1/2"}', "0.5", True),
        ("#### 18", "18", True),
        ("A: 18", "#### 18", True),
    ],
)
def test_whether_an_answer_is_right(answer: str, gold: str, right: bool) -> None:
    """Numbers are compared as numbers, digit by digit; GSM8K's own marks are understood as well."""
    assert TASK.is_right(answer, gold) is right


@given(st.text(), st.integers(-(10**12), 10**12))
def test_any_reasoning_before_an_answer_is_kept(reasoning: str, value: int) -> None:
    """Whatever stands before the JSON object is the reasoning, without white space around it."""
    answer = json.dumps({"answer": value})
    parts = TASK.split(f"{reasoning}\n{answer}")
    assert parts is not None
    found, written = parts
    assert TASK.is_right(written, str(value))
    assert reasoning.strip().startswith(found)  # a fence left open may belong to the answer


def test_questions_come_with_instruction_and_gold(tmp_path: Path) -> None:
    """A record gives the question, the instruction after it, and the number after ####; an empty instruction none."""
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps({"question": "How many?", "answer": "3+4=<<3+4=7>>7\n#### 7"}) + "\n", encoding="utf-8")
    (question,) = TASK.questions(path)
    assert question.id == ti.load_chains(path)[0].id
    assert (question.gold, question.system) == ("7", "")
    assert question.text == f"How many?\n\n{INSTRUCTION}"
    assert Gsm8k(instruction="").questions(path)[0].text == "How many?"


def test_chains_of_ones_own_are_questions(tmp_path: Path) -> None:
    """Any chain that says what is right is a question; one that does not is an error with its line."""
    path = tmp_path / "own.jsonl"
    chain = {"id": "a", "question": "How many?", "reasoning": "So 7.", "answer": "7", "system": "Be brief."}
    path.write_text(json.dumps({**chain, "gold": "7"}) + "\n", encoding="utf-8")
    assert (TASK.questions(path)[0].system, TASK.questions(path)[0].gold) == ("Be brief.", "7")
    path.write_text(json.dumps(chain) + "\n", encoding="utf-8")
    with pytest.raises(TaskError, match=r"own\.jsonl:1: chain 'a': the right answer is not known"):
        TASK.questions(path)
    with pytest.raises(ChainError, match="there is no such file"):
        TASK.questions(str(tmp_path / "missing.jsonl"))


@needs_data
def test_the_published_judgements_are_ours() -> None:
    """Of 5276 solutions, is_right says what GSM8K's is_correct says, also as JSON; of 9 cut off, it does not know."""
    compared = unknown = 0
    for line in (REAL / "model_solutions.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        gold = record["ground_truth"].rsplit("A:", 1)[1].strip()
        for solution in (value for value in record.values() if isinstance(value, dict)):
            reasoning, _, last = solution["solution"].rstrip().rpartition("\n")
            parts = TASK.split(f"{reasoning}\n{json.dumps({'answer': last.removeprefix('A:').strip()})}")
            # A solution that was cut off in its last line may have no number there.
            right = parts is not None and TASK.is_right(parts[1], gold)
            assert TASK.is_right(last, gold) is right or parts is None
            assert right is solution["is_correct"] or (right is None and not solution["is_correct"])
            compared += 1
            unknown += right is None
    assert (compared, unknown) == (5276, 8)


@needs_data
def test_the_real_records_are_questions() -> None:
    """Both splits are read whole, and a limit draws from all of them."""
    train = TASK.questions(REAL / "train.jsonl")
    assert (len(train), len(TASK.questions(REAL / "test.jsonl"))) == (7473, 1319)
    drawn = TASK.questions(REAL / "train.jsonl", limit=100)
    assert max(train.index(question) for question in drawn) > 5000
