"""Chains from records of any layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tokimp.chains.chain import Chain
from tokimp.chains.datasets import FieldMap, SkippedRecord, load_chains
from tokimp.errors import ChainError

ROW: dict[str, Any] = {
    "n": 3,
    "task": {"problem": "What is 3 + 4?", "target": 7},
    "responses": ["<think>\n3 + 4 = 7\n</think>\nIt is 7.", "<think>3 + 4 is 8", "<think>Hm.</think>8"],
    "steps": ["Add 3 and 4.", "That is 7."],
    "final": "7",
}


def write(folder: Path, *rows: object, name: str = "rows.jsonl") -> Path:
    """Write rows to a file of JSONL."""
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_fields_are_read_where_they_are_said_to_stand(tmp_path: Path) -> None:
    """Texts come from dotted paths, steps are joined, numbers become text, and the id is the record's."""
    path = write(tmp_path, ROW)
    places = FieldMap(question="task.problem", reasoning="steps", answer="final", gold="task.target", id="n", join="\n")
    expected = Chain("3", "What is 3 + 4?", "Add 3 and 4.\nThat is 7.", "7", gold="7", source=f"{path}:1")
    assert load_chains(path, fields=places) == [expected]


def test_each_response_makes_a_chain(tmp_path: Path) -> None:
    """Every entry of a list is a chain of its own; those that cannot be split are listed with their line and id."""
    path = write(tmp_path, ROW)
    places = {
        "question": "task.problem", "reasoning": "responses", "each": "responses", "split": "think", "id": "n"
    }  # fmt: skip
    skipped: list[SkippedRecord] = []
    chains = load_chains(path, fields=places, skipped=skipped)
    assert [(chain.id, chain.reasoning, chain.answer) for chain in chains] == [
        ("3-1", "3 + 4 = 7", "It is 7."),
        ("3-3", "Hm.", "8"),
    ]
    assert [(record.where, record.id) for record in skipped] == [(f"{path}:1", "3-2")]
    assert skipped[0].reason.startswith("the response cannot be split (think): the thinking is not closed")


def test_an_id_depends_on_the_texts_and_not_on_the_file(tmp_path: Path) -> None:
    """Without a field for it, the id is the same in another file, on another line; other texts give another."""
    places = FieldMap(question="task.problem", reasoning="steps.0", answer="final")
    other = {**ROW, "final": "8"}
    (first,) = load_chains(write(tmp_path, ROW), fields=places)
    changed, again = load_chains(write(tmp_path, other, ROW, name="more.jsonl"), fields=places)
    assert first.id == again.id != changed.id
    assert first.id.startswith("chain-")
    with pytest.raises(ChainError, match=r":2: chain 'chain-.*the id is taken by .*:1; the same question"):
        load_chains(write(tmp_path, ROW, ROW), fields=places)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"task": {"target": 7}}, "the question: 'task' has no field 'problem'"),
        ({"task": {"problem": None, "target": 7}}, "'task.problem', named for the question, is empty"),
        ({"n": None}, "'n', named for the id, is empty"),
        ({"n": ""}, "'n', named for the id, is empty"),
        ({"n": "a\ud800"}, "'n' holds half a surrogate pair at character 1"),
        ({"responses": []}, "'responses' is an empty list"),
        ({"responses": "text"}, "'responses' is no list"),
        ({"responses": [7]}, r"cannot be split \(think\): there is no tag"),
        ({"task": {"problem": "?"}}, "the gold: 'task' has no field 'target'"),
    ],
)
def test_nothing_is_lost_or_guessed(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    """A record without a field that was named makes no chain and is always listed, with its place and the reason."""
    path = write(tmp_path, {**ROW, **change})
    places = FieldMap(
        question="task.problem", reasoning="responses", each="responses", split="think", id="n", gold="task.target"
    )
    skipped: list[SkippedRecord] = []
    load_chains(path, fields=places, skipped=skipped)
    assert any(reason.replace("\\", "") in record.reason for record in skipped), skipped
    assert {record.where for record in skipped} == {f"{path}:1"}


@pytest.mark.parametrize(
    ("places", "reason"),
    [
        ({"reasoning": "a", "answer": "b"}, "'question' is missing"),
        ({"question": "q", "reasoning": "a"}, "give either the field of the answer"),
        ({"question": "q", "reasoning": "a", "answer": "b", "split": "think"}, "give either the field of the answer"),
        ({"question": "q", "reasoning": "a", "split": "guess"}, "no split 'guess'; splits are think, last-sentence"),
        ({"question": "q", "reasoning": "a", "split": "regex"}, "a pattern belongs to the split 'regex'"),
        ({"question": "q", "reasoning": "a", "split": "think", "pattern": "x"}, "a pattern belongs to"),
        ({"question": "q", "reasoning": "a", "split": "regex", "pattern": "("}, "no regular expression"),
        ({"question": "q", "reasoning": "a", "split": "regex", "pattern": "(?P<answer>x)"}, "name both"),
        ({"question": "", "reasoning": "a", "answer": "b"}, "question='' is no path"),
        ({"question": "q..r", "reasoning": "a", "answer": "b"}, "is no path"),
        ({"question": "q", "reasoning": "a", "answer": "b", "god": "c"}, "there is no 'god'; there are question"),
    ],
)
def test_a_wrong_map_is_refused_before_anything_is_read(places: dict[str, Any], reason: str) -> None:
    """What is missing, doubled or misspelt is named, though the file is not there."""
    with pytest.raises(ChainError, match=f"fields: .*{reason}"):
        load_chains("no.jsonl", fields=places)


def test_a_format_and_fields_are_not_given_together() -> None:
    """A named format knows its own fields."""
    with pytest.raises(ChainError, match="give a format, or fields, not both"):
        load_chains("no.jsonl", format="gsm8k", fields={"question": "q", "reasoning": "r", "answer": "a"})
