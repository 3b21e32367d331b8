"""Where chains come from: names, files, the hub, the package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import pytest

from tokimp.chains.chain import Chain
from tokimp.chains.datasets import is_right, load_chains
from tokimp.errors import ChainError

ROW = {"question": "How many?", "answer": "So 7.\n#### 7"}


def offline(*_: object, **__: object) -> datasets.Dataset:
    """Fail as the library does without a network."""
    raise ConnectionError("Couldn't reach the Hub")


def test_the_hub_is_read_through_datasets(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name or hub id asks the library for the data set, configuration and split, and rows are numbered from 1."""
    asked: list[tuple[Any, ...]] = []

    def load_dataset(path: str, name: str | None, *, split: str) -> datasets.Dataset:
        asked.append((path, name, split))
        return datasets.Dataset.from_list([ROW, {**ROW, "question": "And how many are left?"}])

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    chains = load_chains("gsm8k", split="train")
    assert [chain.source for chain in chains] == ["openai/gsm8k:main[train]:1", "openai/gsm8k:main[train]:2"]
    assert load_chains("someone/chains", limit=1)[0].reasoning == "So 7."
    assert asked == [("openai/gsm8k", "main", "train"), ("someone/chains", None, "test")]


@pytest.mark.parametrize("source", ["gsm8k", "mmlu_pro", "someone/chains:hard"])
def test_an_unreachable_hub_is_one_clear_error(monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    """Offline, the message names the data set and says to give a file instead."""
    monkeypatch.setattr(datasets, "load_dataset", offline)
    with pytest.raises(ChainError, match=r"\[test\]: .* cannot be read from the hub .*give that file's path"):
        load_chains(source, skipped=[])


def test_a_file_comes_before_a_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path that looks like a hub id is a file where there is one, and a missing .jsonl is never a hub id."""
    monkeypatch.setattr(datasets, "load_dataset", offline)
    monkeypatch.chdir(tmp_path)
    Path("owner").mkdir()
    Path("owner/name").write_text(json.dumps(ROW), encoding="utf-8")
    assert load_chains("owner/name")[0].source == "owner/name:1"
    with pytest.raises(ChainError, match=r"owner/name\.jsonl: there is no such file"):
        load_chains("owner/name.jsonl")


def test_an_unknown_name_is_refused() -> None:
    """A word that is no file, hub id or known name is an error that lists the names."""
    names = "demo, word_problems, gsm8k, mmlu_pro, math"
    with pytest.raises(ChainError, match=rf"nothing: there is no such file; .* {names}"):
        load_chains("nothing")


@pytest.mark.parametrize(
    ("answer", "gold", "right"),
    [
        ("#### 18", "18", True),
        ("#### 5,600", "5600", True),
        ("A: $18.00", "18", True),
        ("A: 18", "180", False),
        ("A: 10+John's age", "50", False),
        ("The answer is (B). Check.", "B", True),
        ("So the answer is (B)", "A", False),
        ("Paris", "paris", True),
        ("nan", "nan", True),
        ("18", None, None),
    ],
)
def test_whether_an_answer_is_right(answer: str, gold: str | None, right: bool | None) -> None:
    """Numbers are compared as numbers, letters as letters, anything else as text; without gold there is no saying."""
    assert is_right(Chain("c", "q", "r", answer, gold=gold)) is right


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("chians", "chains.jsonl"),
        ("chians.jsonl", "chains.jsonl"),
        ("./chians.jsonl", "chains.jsonl"),
        ("sub/chans.json", "sub/chains.json"),
        ("dmo", "demo"),
        ("gms8k", "gsm8k"),
        ("./dmo", "demo"),
        ("link.jsonl", None),
        ("something_else", None),
    ],
)
def test_a_misspelt_source_is_guessed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str, meant: str | None
) -> None:
    """The file beside it that is closest, or the closest known name, is named; and nothing where nothing is close."""
    monkeypatch.chdir(tmp_path)
    Path("sub").mkdir()
    Path("link.jsonl").symlink_to("nowhere")
    for name in ("chains.jsonl", "notes.txt", "sub/chains.json"):
        Path(name).write_text("", encoding="utf-8")
    with pytest.raises(ChainError, match=f"{typed}: there is no such file") as error:
        load_chains(typed)
    assert ("did you mean" in str(error.value)) == (meant is not None)
    assert ("since the link leads nowhere" in str(error.value)) == (typed == "link.jsonl")
    assert meant is None or f"(did you mean {meant!r}?)" in str(error.value)
