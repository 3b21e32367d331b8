"""``tokimp distill``: a plan followed from the command line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

import tokimp as ti
from tests.cli.conftest import Run
from tokimp.testing.random_models import random_model


def _plan(folder: Path, **changes: object) -> Path:
    """Write a small plan: the embedded model teaches a random student."""
    tokenizer = ti.load_scorer("tiny").tokenizer
    sizes = {"vocab_size": len(tokenizer), "max_position_embeddings": 512, "hidden_size": 16, "num_hidden_layers": 1}
    special = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    random_model("llama", initializer_range=0.05, **sizes, **special).save_pretrained(folder / "student")
    tokenizer.save_pretrained(folder / "student")
    values: dict[str, object] = {
        "task": "word_problems",
        "questions": {"limit": 3, "seed": 1},
        "test": {"limit": 4},
        "teachers": ["tiny"],
        "students": [{"name": "small", "model": str(folder / "student")}],
        "methods": ["uniform", "position"],
        "keep_ratios": [0.5],
        "sample": {"n": 2, "min_characters": 10, "max_new_tokens": 90},
        "evaluate": {"max_new_tokens": 4},
        "train": {"epochs": 1, "device": "cpu", "checkpoint_steps": 0},
    }
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump({**values, **changes}), encoding="utf-8")
    return path


@pytest.mark.slow
def test_a_plan_ends_in_tables_and_a_figure(tokimp: Run, tmp_path: Path) -> None:
    """Accuracy, lengths and differences are printed; the same command again does nothing and prints the same."""
    plan = _plan(tmp_path)
    done = tokimp("distill", plan, "--out", "run")
    assert done.status == 0, done.err
    for said in ("Accuracy: small taught by tiny", "Lengths", "Methods that differ", "uniform", "position"):
        assert said in done.out
    assert (tmp_path / "run" / "curves.png").is_file()
    assert "train/small/tiny/tiny/uniform/0.5/seed-0" in done.err
    again = tokimp("distill", plan, "--out", "run")
    assert again.status == 0
    assert again.out == done.out
    assert "7 of 7 steps were done already" in again.err
    # The command that a cell's folder names does that cell again.
    cell = "small/tiny/tiny/uniform/0.5/seed-0"
    redone = tokimp("distill", "run/plan.yaml", "--out", "run", "--cell", cell, "--redo")
    assert redone.status == 0, redone.err
    assert redone.out == done.out


def test_an_estimate_runs_nothing(tokimp: Run, tmp_path: Path) -> None:
    """--estimate prints what the plan takes, with times, memory and disk, and makes no folder."""
    done = tokimp("distill", _plan(tmp_path), "--estimate", "--out", "run")
    assert done.status == 0, done.err
    for said in (
        "cells: 1 untrained",
        "tokens to sample",
        "positions to prune",
        "positions to train",
        "tokens to test",
    ):
        assert said in done.out
    (row,) = [line for line in done.out.splitlines() if "3 trainings" in line]
    # How many, positions, seconds, memory (which a trial of reading does not show), disk.
    assert re.search(r"3 +[\d,]+ +\d+\.\d s +- +\d\.\d MB", row)
    (whole,) = [line for line in done.out.splitlines() if line.strip().startswith("all ")]
    assert re.search(r"[\d,]+ +\d+(\.\d)? s +\d\.\d+ GB +\d+(\.\d)? [kM]B", whole)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_an_estimate_of_models_that_are_not_here_says_so(tokimp: Run, tmp_path: Path) -> None:
    """The amounts are printed, the times that are not known are dashes, and a line says why."""
    plan = _plan(tmp_path, students=["owner/student"], methods=["uniform"])
    done = tokimp("distill", plan, "--estimate", "--out", "run")
    assert done.status == 0, done.err
    (row,) = [line for line in done.out.splitlines() if "2 trainings" in line]
    assert re.search(r"2 +[\d,]+ +- +- +-", row)
    assert "more than" in done.out
    assert "not tried: the weights of 'owner/student' are not here, and nothing is fetched" in done.out


def test_an_estimate_without_a_trial_loads_no_model(tokimp: Run, tmp_path: Path) -> None:
    """--no-trial gives the amounts alone; --cell counts what that cell needs."""
    done = tokimp("distill", _plan(tmp_path), "--estimate", "--no-trial", "--out", "run")
    assert done.status == 0, done.err
    assert "no model was tried, so that no time is known" in done.out
    assert "tokens to sample" in done.out
    alone = tokimp("distill", _plan(tmp_path), "--estimate", "--no-trial", "--cell", "small/untrained", "--out", "run")
    assert alone.status == 0, alone.err
    assert "tokens to sample" not in alone.out
    assert "cells: 1 untrained\n" in "\n".join(line.rstrip() for line in alone.out.splitlines()) + "\n"


def test_a_broken_plan_is_one_line(tokimp: Run, tmp_path: Path) -> None:
    """Status 1, and the line names file and key."""
    done = tokimp("distill", _plan(tmp_path, keep_ratios=[2]), "--out", "run")
    assert done.status == 1
    assert done.err.count("\n") == 1
    assert "plan.yaml: keep_ratios[0] is 2" in done.err


def test_redo_needs_a_cell(tokimp: Run, tmp_path: Path) -> None:
    """Doing everything again by one word is wrong usage: a folder is deleted by hand."""
    done = tokimp("distill", _plan(tmp_path), "--redo")
    assert done.status == 2
    assert "--cell" in done.err


def test_options_of_estimates_are_refused_without_one(tokimp: Run, tmp_path: Path) -> None:
    """They would be ignored, and the plan would begin where a person expects an estimate."""
    (tmp_path / "plan.yaml").write_text("task: word_problems\n", encoding="utf-8")
    done = tokimp("distill", "plan.yaml", "--no-trial", "--question-tokens", "50")
    assert done.status == 2
    assert "--no-trial, --question-tokens: about estimates; add --estimate, or leave it out" in done.err


def test_an_estimate_begins_nothing_even_if_nobody_ends_the_command(
    tokimp: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plan is followed only by a command that was not asked for an estimate."""
    monkeypatch.setattr("tokimp.cli.distill.plan_cost_check", lambda **_: lambda pending: None)
    done = tokimp("distill", _plan(tmp_path), "--estimate", "--no-trial", "--out", "run")
    assert done.status == 0, done.err
    assert not Path("run").exists()
