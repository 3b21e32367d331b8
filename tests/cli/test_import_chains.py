"""``tokimp import``: chains from records of any layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tokimp.chains.datasets import load_chains

ROWS: list[dict[str, Any]] = [
    {"problem": "What is 3 + 4?", "generation": "<think>\n3 + 4 = 7\n</think>\n\nThe answer is **7**.", "answer": 7},
    {"problem": "What is 3 + 5?", "generation": "<think>\n3 + 5 =", "answer": 8},
    {"problem": "What is 3 + 6?", "generation": "<think>\n3 + 6 = 8\n</think>\n\nThe answer is **8**.", "answer": 9},
    {"problem": "What is 3 + 4?", "generation": "<think>\n3 + 4 = 7\n</think>\n\nThe answer is **7**.", "answer": 7},
    {"problem": "What is 3 + 7?", "generation": "<think>\n3 + 7 is", "answer": 10},
]
NAMED = ("--question", "problem", "--reasoning", "generation", "--split", "think", "--gold", "answer")


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Return a file of traces with tags of thinking, of which two are cut off and one stands twice."""
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    return path


def test_chains_are_shown_counted_and_written(tokimp: Run, rows: Path) -> None:
    """What was made of the first records is printed, what was left out is counted by reason, and the file is read."""
    done = tokimp("import", rows, *NAMED, "--out", "chains.jsonl")
    assert done.status == 0, done.err
    assert "reasoning     3 + 4 = 7\n" in done.out
    assert "answer        The answer is **7**.\n" in done.out
    assert [line.split()[1] for line in done.out.splitlines() if line.startswith("  right ")] == ["yes", "no"]
    assert "2 chains written to chains.jsonl" in done.out
    assert done.err.splitlines() == [
        "3 of 5 left out:",
        "  2: the response cannot be split (think): the thinking is not closed: it was cut off, perhaps; lines 2, 5",
        "  1: the id is taken by another record; line 4",
    ]
    chains = load_chains("chains.jsonl")
    assert [(chain.reasoning, chain.answer, chain.gold) for chain in chains] == [
        ("3 + 4 = 7", "The answer is **7**.", "7"),
        ("3 + 6 = 8", "The answer is **8**.", "9"),
    ]


def test_what_was_left_out_is_written_on_request(tokimp: Run, rows: Path) -> None:
    """--left-out lists every record that makes no chain, with its place and the whole reason."""
    assert tokimp("import", rows, *NAMED, "--left-out", "out.jsonl", "--out", "chains.jsonl").status == 0
    listed = [json.loads(line) for line in Path("out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [record["where"] for record in listed] == [f"{rows}:2", f"{rows}:4", f"{rows}:5"]
    assert "the same question, reasoning and answer" in listed[1]["reason"]


def test_fields_that_nobody_named_are_listed_and_not_guessed(tokimp: Run, rows: Path) -> None:
    """Without fields or a format nothing is written, and the message says what the first record holds."""
    done = tokimp("import", rows, "--out", "chains.jsonl")
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert f"the first record, {rows}:1, has problem (text), generation (text), answer (number)" in done.err
    assert not Path("chains.jsonl").exists()


def test_a_known_format_needs_no_fields(tokimp: Run, tmp_path: Path) -> None:
    """Records of GSM8K become chains by the name of their format."""
    (tmp_path / "rows.jsonl").write_text(json.dumps({"question": "?", "answer": "So 7.\n#### 7"}), encoding="utf-8")
    done = tokimp("import", "rows.jsonl", "--format", "gsm8k", "--out", "chains.jsonl")
    assert done.status == 0, done.err
    assert load_chains("chains.jsonl", format="jsonl")[0].reasoning == "So 7."


@pytest.mark.parametrize(
    ("arguments", "status", "reason"),
    [
        ((*NAMED, "--answer", "answer"), 1, "give either the field of the answer"),
        (("--question", "problem", "--reasoning", "generation"), 1, "give either the field of the answer"),
        (("--reasoning", "generation", "--split", "think"), 1, "'question' is missing"),
        ((*NAMED, "--format", "gsm8k"), 1, "give a format, or fields, not both"),
        (("--question", "problem", "--reasoning", "text", "--answer", "answer"), 1, "none of its records"),
        ((*NAMED, "--out", "no/chains.jsonl"), 2, "there is no folder no"),
        ((*NAMED, "--out", "rows.jsonl"), 1, "rows.jsonl would be written over, and SOURCE"),
    ],
)
def test_what_cannot_be_done_is_said(
    tokimp: Run, rows: Path, arguments: tuple[str, ...], status: int, reason: str
) -> None:
    """Options that do not fit, and a source of which nothing becomes a chain, write nothing."""
    before = rows.read_bytes()
    done = tokimp("import", rows, "--out", "chains.jsonl", *arguments)
    assert done.status == status
    assert reason in done.err.splitlines()[-1]
    assert rows.read_bytes() == before
    assert not Path("chains.jsonl").exists()


def test_text_cannot_steer_the_terminal(tokimp: Run, tmp_path: Path) -> None:
    """Control characters of a record are written out, and long texts are shown without their middle."""
    row = {"q": "\x1b[31mred", "r": "a " * 5000, "a": "7"}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row), encoding="utf-8")
    done = tokimp(
        "import", "rows.jsonl", "--question", "q", "--reasoning", "r", "--answer", "a", "--out", "chains.jsonl"
    )
    assert "\x1b" not in done.out
    assert "\\x1b[31mred" in done.out
    assert "[... 9,400 characters ...]" in " ".join(done.out.split())
