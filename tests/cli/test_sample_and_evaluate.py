"""The commands that put a task to a model: from questions to chains, and from answers to numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tokimp.chains.datasets import load_chains


def test_chains_are_sampled_and_can_be_compared(tokimp: Run) -> None:
    """The embedded teacher's chains are counted, written, and taken by compare; the same command samples no more."""
    command = ("sample", "word_problems", "--limit", "6", "--n", "2", "--min-characters", "0", "--out", "teacher")
    done = tokimp(*command)
    assert done.status == 0, done.err
    assert "word_problems by tiny: 12 responses to 6 questions" in done.out
    chains = load_chains("teacher/chains.jsonl")
    assert f"{len(chains)} chains kept" in done.out
    again = tokimp(*command)
    assert again.status == 0
    assert again.out == done.out
    assert "were done already" in again.err
    compared = tokimp("compare", "teacher/chains.jsonl", "--limit", "2", "--estimator", "position", "--out", "run")
    assert compared.status == 0, compared.err


def test_a_student_is_evaluated_beside_another(tokimp: Run) -> None:
    """Accuracy with its interval, length and unparsed share are printed, and the comparison where it is asked for."""
    options = ("word_problems:steps=[2]", "--limit", "8", "--seed", "1")
    first = tokimp("evaluate", *options, "--out", "before")
    assert first.status == 0, first.err
    assert "by tiny: " in first.out
    assert "% of 8 right [" in first.out
    second = tokimp("evaluate", *options, "--max-new-tokens", "5", "--out", "after", "--before", "before")
    assert second.status == 0, second.err
    assert "0.0% of 8 right" in second.out
    assert "100.0% without an answer" in second.out
    assert "difference -" in second.out
    assert "McNemar p = " in second.out
    assert json.loads(Path("after/evaluation.json").read_text(encoding="utf-8"))["before"]["n"] == 8


def test_another_seed_is_named_where_a_folder_holds_other_questions(tokimp: Run) -> None:
    """Not which question stands at which place, but the options that drew them: seed, and limit."""
    command = ("evaluate", "word_problems", "--limit", "4", "--max-new-tokens", "3", "--out", "out")
    assert tokimp(*command, "--seed", "1").status == 0
    refused = tokimp(*command, "--seed", "2")
    assert refused.status == 1
    assert "out holds another run (seed: before 1, now 2): repeat" in refused.err
    fewer = tokimp(*command, "--seed", "1", "--limit", "3")
    assert "out holds another run (limit: before 4, now 3): repeat" in fewer.err
    # The model's answer to a longer limit is another run too, and the seed is not to blame for it.
    longer = tokimp(*command, "--seed", "1", "--max-new-tokens", "4")
    assert "out holds another run (asking.max_new_tokens: before 3, now 4): repeat" in longer.err


@pytest.mark.parametrize("command", ["sample", "evaluate"])
@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (("gsm9k",), 2, "there is no task named 'gsm9k'; known are gsm8k, math, mmlu_pro, word_problems"),
        (("word_problems:steps=[9]", "--limit", "2"), 2, "word_problems: steps=[9] is not allowed"),
        (("word_problems",), 1, "limit must say how many to make"),
        (("gsm8k", "missing.jsonl"), 1, "missing.jsonl: there is no such file"),
        (("word_problems", "--limit", "2", "--model", "./missing"), 1, "there is no model folder"),
        (("word_problems", "--limit", "2", "--engine", "vllm"), 1, "pip install vllm"),
    ],
)
def test_what_cannot_be_asked_is_one_line(
    tokimp: Run, command: str, options: tuple[str, ...], status: int, message: str
) -> None:
    """A wrong task, parameter, source, model or engine is refused in one line that names it."""
    done = tokimp(command, *options, "--out", "out")
    assert done.status == status
    assert message in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_no_right_chain_is_one_line_after_all_is_kept(tokimp: Run) -> None:
    """A teacher cut off before any answer gives an error that says so, and its responses are on disk."""
    done = tokimp("sample", "word_problems", "--limit", "2", "--n", "2", "--max-new-tokens", "3", "--out", "teacher")
    assert done.status == 1
    assert "none of 4 responses to 2 questions is right (0 are wrong, 4 cannot be split" in done.err
    assert len(Path("teacher/unsplit.jsonl").read_text(encoding="utf-8").splitlines()) == 4
