"""GSM8K's own chains, and its model solutions."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tokimp.chains.datasets import SkippedRecord, is_right, load_chains
from tokimp.errors import ChainError

REAL = Path(__file__).parents[3] / ".." / "shared" / "data" / "gsm8k"
needs_data = pytest.mark.skipif(not REAL.is_dir(), reason=f"the chains of GSM8K are not in {REAL}")

DUCKS = {"question": "How much?", "answer": "She sells 16 - 7 = <<16-7=9>>9 eggs.\nThat is $<<9*2=18>>18.\n#### 18"}
SOLVED: dict[str, Any] = {
    "question": "How much?",
    "ground_truth": "It is <<9*2=18>>18.\nA: 1,800",
    "6b_finetuning": {"is_correct": False, "solution": "It is <<2*2=4>>4.\nSo 4.\nA: 4"},
    "175b_verification": {"is_correct": True, "solution": "It is 1800.\nA: 1800"},
}


def write(folder: Path, *objects: dict[str, Any]) -> Path:
    """Write objects to a file named like GSM8K's."""
    path = folder / "test.jsonl"
    path.write_text("\n".join(json.dumps(fields) for fields in objects), encoding="utf-8")
    return path


def test_the_chain_is_split_at_the_mark_and_notes_go(tmp_path: Path) -> None:
    """Reasoning is without calculator notes, the answer is the marked line, gold what follows the mark."""
    path = write(tmp_path, DUCKS)
    (chain,) = load_chains(path)
    assert re.fullmatch("gsm8k-[0-9a-f]{10}", chain.id)
    assert chain.reasoning == "She sells 16 - 7 = 9 eggs.\nThat is $18."
    assert (chain.answer, chain.gold, chain.source) == ("#### 18", "18", f"{path}:1")


def test_a_chain_has_one_id_in_every_file(tmp_path: Path) -> None:
    """The id is made of the chain: another file, line or order changes none, and another answer is another chain."""
    (tmp_path / "one").mkdir()
    other = {**DUCKS, "answer": "So 19.\n#### 19"}
    first, second = load_chains(write(tmp_path, DUCKS, other))
    renamed = write(tmp_path / "one", other, DUCKS).rename(tmp_path / "copy.jsonl")
    assert [chain.id for chain in load_chains(renamed, keep_calculator=True)] == [second.id, first.id]
    assert first.id != second.id


def test_a_chain_that_stands_twice_is_refused(tmp_path: Path) -> None:
    """The same question and answer again is an error that names both places, and is left out on request."""
    path = write(tmp_path, DUCKS, DUCKS)
    with pytest.raises(ChainError, match=r":2: .* is taken by .*:1; the same question and answer stand there"):
        load_chains(path)
    assert len(load_chains(path, skipped=[])) == 1


def test_notes_are_kept_on_request(tmp_path: Path) -> None:
    """With keep_calculator the reasoning is as written."""
    (chain,) = load_chains(write(tmp_path, DUCKS), keep_calculator=True)
    assert chain.reasoning == DUCKS["answer"].rpartition("\n")[0]


@pytest.mark.parametrize("answer", ["So 18.", "#### 18", "So 18.\n####", "<<1+1=2>>\n#### 2"])
def test_a_chain_that_lacks_a_part_is_refused(tmp_path: Path, answer: str) -> None:
    """No mark, nothing before it, nothing after it, or nothing but notes: an error, not an empty chain."""
    with pytest.raises(ChainError, match=r"test.jsonl:1: chain 'gsm8k-[0-9a-f]{10}': "):
        load_chains(write(tmp_path, {"question": "q", "answer": answer}), format="gsm8k")


def test_each_set_up_makes_a_chain(tmp_path: Path) -> None:
    """Model solutions give one chain a set-up, with its own answer and the question's gold answer."""
    wrong, right = load_chains(write(tmp_path, SOLVED))
    assert [re.sub("[0-9a-f]{10}", "*", chain.id) for chain in (wrong, right)] == [
        "gsm8k-*-6b_finetuning",
        "gsm8k-*-175b_verification",
    ]
    assert (wrong.reasoning, wrong.answer, wrong.gold) == ("It is 4.\nSo 4.", "A: 4", "1,800")
    assert (is_right(wrong), is_right(right)) == (False, True)


@pytest.mark.parametrize(
    ("setup", "reason"),
    [
        ({"is_correct": False, "solution": "It is 1.\nIt is 2"}, "does not end in a line 'A: '"),
        ({"is_correct": False, "solution": "A: 4"}, "the reasoning is empty"),
        ({"is_correct": True, "solution": "It is 4.\nA: 4"}, "'is_correct' is True, but"),
        ({"is_correct": False}, "must be an object with 'solution' and 'is_correct'"),
        ({"is_correct": False, "solution": 4}, "'solution' must be text"),
    ],
)
def test_one_bad_solution_leaves_the_others(tmp_path: Path, setup: dict[str, Any], reason: str) -> None:
    """A solution that was cut off, or contradicts itself, is refused by its own id; the other set-ups are read."""
    path = write(tmp_path, {**SOLVED, "6b_finetuning": setup})
    with pytest.raises(ChainError, match=rf"test.jsonl:1: chain 'gsm8k-[0-9a-f]{{10}}-6b_finetuning': .*{reason}"):
        load_chains(path)
    skipped: list[SkippedRecord] = []
    assert [chain.id[16:] for chain in load_chains(path, skipped=skipped)] == ["-175b_verification"]
    assert [record.id[16:] for record in skipped] == ["-6b_finetuning"]


def test_a_chain_of_tokimps_own_is_never_read_as_gsm8k(tmp_path: Path) -> None:
    """A record with an id or a reasoning field is not GSM8K's: its fields are not taken for others, nor made up."""
    named = {"id": "a", "question": "Q1", "answer": "So 4. #### 4"}
    own = {"id": "b", "question": "Q2", "reasoning": "So 5.", "answer": "5 #### 5"}
    with pytest.raises(ChainError, match=r"test.jsonl:1: chain 'a': the field 'reasoning' is missing"):
        load_chains(write(tmp_path, named, own))
    skipped: list[SkippedRecord] = []
    (chain,) = load_chains(write(tmp_path, named, own), skipped=skipped)
    assert (chain.id, chain.reasoning, chain.answer) == ("b", "So 5.", "5 #### 5")
    for first, form in ((DUCKS, "auto"), (own, "gsm8k")):
        with pytest.raises(ChainError, match=r"chain 'gsm8k-[0-9a-f]{10}': it has a field 'reasoning'"):
            load_chains(write(tmp_path, first, own), format=form)


@needs_data
@pytest.mark.parametrize(("split", "count"), [("test", 1319), ("train", 7473)])
def test_every_real_chain_is_read(split: str, count: int) -> None:
    """All of GSM8K loads; no note is left, every answer is its own gold answer, and ids differ."""
    chains = load_chains(REAL / f"{split}.jsonl")
    assert len(chains) == len({chain.id for chain in chains}) == count
    assert not any("<<" in chain.reasoning or ">>" in chain.reasoning for chain in chains)
    assert all(chain.answer == f"#### {chain.gold}" and is_right(chain) for chain in chains)


@needs_data
def test_every_real_solution_is_read_or_listed() -> None:
    """Of 4 x 1319 solutions the 11 that were cut off are listed; the rest agree with the data set's flags."""
    skipped: list[SkippedRecord] = []
    chains = load_chains(REAL / "model_solutions.jsonl", skipped=skipped)
    assert (len(chains), len(skipped)) == (4 * 1319 - 11, 11)
    assert sum(is_right(chain) is True for chain in chains) == 2001
