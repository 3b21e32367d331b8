"""``tokimp train``: a student from a file of chains."""

from __future__ import annotations

import re
from pathlib import Path

import tokimp as ti
from tests.cli.conftest import Run
from tokimp.testing.random_models import byte_tokenizer, random_model


def _student(folder: Path) -> Path:
    random_model("llama", initializer_range=0.05).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


def test_trains_a_student_that_every_command_takes(tokimp: Run, chains_file: Path, tmp_path: Path) -> None:
    """The folder named at the end is a model; the same command again does nothing and says the same of the losses."""
    # Byte-level chains of 100 characters nearly fill this student's context.
    settings = ("--epochs", "2", "--batch-size", "2", "--device", "cpu", "--learning-rate", "0.01")
    command = ("train", chains_file, "--student", _student(tmp_path / "s"), "--out", "t", *settings)
    done = tokimp(*command)
    assert done.status == 0, done.err
    assert "3 chains, 4 steps" in done.out
    assert re.search(r"loss \d\.\d{3} to \d\.\d{3} nats a token \(the first and the last step\)", done.out)
    assert str(Path("t") / "model") in done.out
    assert ti.load_scorer(tmp_path / "t" / "model").context_length == 128
    again = tokimp(*command)
    assert again.status == 0
    assert again.out == done.out
    other = chains_file.with_name("other.jsonl")
    other.write_text(chains_file.read_text(encoding="utf-8").replace("cups", "pots"), encoding="utf-8")
    refused = tokimp("train", other, *command[2:])
    assert refused.status == 1
    # Long paths are cut in the middle.
    told = r't holds another run \(chains: before "\S*chains\.jsonl", now "\S*other\.jsonl"\): repeat'
    assert re.search(told, refused.err)


def test_wrong_settings_are_wrong_usage(tokimp: Run, chains_file: Path) -> None:
    """A setting that is not allowed ends with status 2 and its name, before anything is loaded."""
    done = tokimp("train", chains_file, "--student", "tiny", "--out", "t", "--validation", "0.9")
    assert done.status == 2
    assert "validation is 0.9" in done.err
    done = tokimp("train", chains_file, "--student", "tiny", "--out", "t", "--no-merge")
    assert done.status == 2
    assert "--no-merge: about adapters; add --lora" in done.err
    done = tokimp("train", chains_file, "--student", "tiny", "--out", "t", "--lora-r", "4")
    assert done.status == 2
    assert "--lora-r: about adapters; add --lora" in done.err


def test_a_missing_student_is_one_line(tokimp: Run, chains_file: Path) -> None:
    """Status 1, and the line says which model."""
    done = tokimp("train", chains_file, "--student", "./nowhere", "--out", "t")
    assert done.status == 1
    assert "./nowhere" in done.err
    assert done.err.count("\n") == 1
