"""MMLU-Pro: questions with options, and full responses that are split at their conclusion."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tokimp.chains.datasets import SkippedRecord, is_right, load_chains
from tokimp.errors import ChainError

REAL = Path(__file__).parents[3] / ".." / "shared" / "data" / "mmlu_pro" / "llama-3.1-8b-instruct.math.jsonl"

RECORD: dict[str, Any] = {
    "question_id": 7687,
    "question": "What is 3 + 4?",
    "options": ["6", "7", "8"],
    "gold": "B",
    "prediction": "C",
    "response": "We add. 3 + 4 is 3.5 * 2. The answer is (C).",
}


def write(folder: Path, *objects: dict[str, Any]) -> Path:
    """Write objects to a file."""
    path = folder / "math.jsonl"
    path.write_text("\n".join(json.dumps(fields) for fields in objects), encoding="utf-8")
    return path


def test_a_response_is_split_at_its_conclusion(tmp_path: Path) -> None:
    """Options are lettered lines of the question, and the last sentence with the letter is the answer."""
    path = write(tmp_path, RECORD)
    (chain,) = load_chains(path)
    assert (chain.id, chain.gold, chain.source) == ("mmlu_pro-7687", "B", f"{path}:1")
    assert chain.question == "What is 3 + 4?\nA. 6\nB. 7\nC. 8"
    assert (chain.reasoning, chain.answer) == ("We add. 3 + 4 is 3.5 * 2.", "The answer is (C).")
    assert is_right(chain) is False


@pytest.mark.parametrize(
    ("response", "reasoning", "answer"),
    [
        ("We add. The answer is (B). Check: 7.", "We add.", "The answer is (B). Check: 7."),
        ("The answer is (A).\nNo. The answer is (B).", "The answer is (A).\nNo.", "The answer is (B)."),
        ("We add, e.g. once. So the answer is (B)", "We add, e.g. once.", "So the answer is (B)"),
        ("$$3+4$$ The answer is (B)", "$$3+4$$", "The answer is (B)"),
    ],
)
def test_where_the_answer_begins(tmp_path: Path, response: str, reasoning: str, answer: str) -> None:
    """The last conclusion counts, whole sentence, with all that follows it."""
    (chain,) = load_chains(write(tmp_path, {**RECORD, "response": response}))
    assert (chain.reasoning, chain.answer) == (reasoning, answer)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"response": "We add 3 and 4 and"}, "no sentence 'The answer is"),
        ({"response": "The answer is (B)."}, "the reasoning is empty"),
        ({"response": "We add. The answer is (F)."}, r"answers \(F\), but options end at C"),
        ({"gold": "F"}, "the right answer 'F' is not a letter of A to C"),
        ({"gold": ""}, "the right answer '' is not a letter"),
        ({"options": "6, 7"}, "'options' must be a list"),
        ({"options": ["6", 7]}, r"'options\[1\]' must be text"),
        ({"response": None}, "'response' must be text"),
    ],
)
def test_what_cannot_be_split_is_refused(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    """A response cut off, or one whose letters do not fit, is an error and never guessed at."""
    with pytest.raises(ChainError, match=rf"math.jsonl:1: chain 'mmlu_pro-7687': .*{reason}"):
        load_chains(write(tmp_path, {**RECORD, **change}))


def test_the_data_set_s_own_chains_are_read(tmp_path: Path) -> None:
    """Rows of the data set itself hold the chain in cot_content; where it is empty, the error says where to look."""
    row = {key: RECORD[key] for key in ("question_id", "question", "options")} | {"answer": "B"}
    (chain,) = load_chains(write(tmp_path, {**row, "cot_content": "A: We add. The answer is (B)."}))
    assert (chain.reasoning, chain.answer, chain.gold) == ("We add.", "The answer is (B).", "B")
    with pytest.raises(ChainError, match="split='validation'"):
        load_chains(write(tmp_path, {**row, "cot_content": ""}))


@pytest.mark.skipif(not REAL.is_file(), reason=f"the responses of MMLU-Pro are not at {REAL}")
def test_every_real_response_is_read_or_listed() -> None:
    """Of 1351 responses 270 have no conclusion and 5 nothing before it; the rest joins back to the response."""
    skipped: list[SkippedRecord] = []
    chains = load_chains(REAL, skipped=skipped)
    assert len(chains) == 1351 - 275
    assert sum("no sentence" in record.reason for record in skipped) == 270
    assert sum("reasoning is empty" in record.reason for record in skipped) == 5
    records = {f"mmlu_pro-{fields['question_id']}": fields for fields in map(json.loads, REAL.open(encoding="utf-8"))}
    for chain in chains:
        fields = records[chain.id]
        assert "".join((chain.reasoning + chain.answer).split()) == "".join(fields["response"].split())
        assert is_right(chain) is (fields["prediction"] == fields["gold"])


@pytest.mark.parametrize("field", ["generated_text", "model_outputs"])
def test_published_outputs_are_read(tmp_path: Path, field: str) -> None:
    """The outputs that MMLU-Pro publishes are one list, with the text and the letter under names of their own."""
    published = {
        "question_id": 70,
        "question": "What is 3 + 4?",
        "options": ["6", "7"],
        "answer": "B",
        "answer_index": 1,
        "cot_content": "",
        "pred": "B",
        field: "We add: 3 + 4 = 7. The answer is (B).",
    }
    path = tmp_path / "model_outputs_math.json"
    path.write_text(json.dumps([published]), encoding="utf-8")
    (chain,) = load_chains(path)
    assert (chain.id, chain.gold, chain.reasoning) == ("mmlu_pro-70", "B", "We add: 3 + 4 = 7.")
    assert (chain.answer, is_right(chain), chain.source) == ("The answer is (B).", True, f"{path}[1]")
