"""The command that counts a model's right answers."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Run


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


UNSURE = '''
from tokimp.distillation.tasks.word_problems import WordProblems


class Unsure(WordProblems):
    """Knows nothing of any answer."""

    name = "unsure"

    def is_right(self, answer, gold):
        return None
'''


def test_answers_that_are_not_known_are_said(tokimp: Run) -> None:
    """Evaluate prints their share beside the accuracy, and sample their number; neither calls them wrong."""
    Path("my.py").write_text(UNSURE, encoding="utf-8")
    options = ("my.py:Unsure:steps=[2]", "--limit", "3", "--seed", "1")
    done = tokimp("evaluate", *options, "--out", "e")
    assert done.status == 0, done.err
    assert "0.0% of 3 right" in done.out
    assert "0.0% without an answer, 100.0% not known to be right or wrong" in done.out
    sampled = tokimp("sample", *options, "--n", "2", "--min-characters", "0", "--out", "s")
    assert sampled.status == 1
    assert "none of 6 responses to 3 questions is right (0 are wrong, of 6 it is not known" in sampled.err
    assert json.loads(Path("s/report.json").read_text(encoding="utf-8"))["not_known"] == 6
    assert Path("s/wrong.jsonl").read_text(encoding="utf-8") == ""
