"""What the commands that put a task to a model refuse."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Run


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
