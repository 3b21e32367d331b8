"""The command that lets a teacher write chains."""

from __future__ import annotations

from pathlib import Path

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


def test_no_right_chain_is_one_line_after_all_is_kept(tokimp: Run) -> None:
    """A teacher cut off before any answer gives an error that says so, and its responses are on disk."""
    done = tokimp("sample", "word_problems", "--limit", "2", "--n", "2", "--max-new-tokens", "3", "--out", "teacher")
    assert done.status == 1
    assert "none of 4 responses to 2 questions is right (0 are wrong, 4 cannot be split" in done.err
    assert len(Path("teacher/unsplit.jsonl").read_text(encoding="utf-8").splitlines()) == 4
