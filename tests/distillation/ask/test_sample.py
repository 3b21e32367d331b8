"""Sampling: files that can be read, runs that go on where they were killed, and errors after which nothing is lost."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.distillation.scripted import ScriptedEngine, Sums, sample_sums
from tokimp.chains.datasets import is_right, load_chains
from tokimp.contracts.progress import Progress
from tokimp.distillation.ask.sample import SampleReport, sample
from tokimp.distillation.tasks.word_problems import WordProblems
from tokimp.errors import DistillationError, ResumeError, TokenizationError
from tokimp.models.writing.transformers_engine import TransformersEngine

FINAL = ("chains.jsonl", "wrong.jsonl", "unsplit.jsonl", "dropped.jsonl", "report.json", "batches.jsonl")


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of everything but run.json, which says when the run began."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name not in ("run.json", ".lock")}


def test_chains_are_read_like_any_others(tmp_path: Path) -> None:
    """chains.jsonl holds one right chain a question, wrong.jsonl wrong ones with ids of their own."""
    questions = Sums().questions(limit=30)
    report = sample(Sums(), questions, ScriptedEngine(), tmp_path, n=3)
    chains, wrong = load_chains(tmp_path / "chains.jsonl"), load_chains(tmp_path / "wrong.jsonl")
    assert report.kept == len(chains) > 0
    assert report.wrong == len(wrong) > 0
    by_id = {question.id: question for question in questions}
    assert all(chain.question == by_id[chain.id].text and chain.gold == by_id[chain.id].gold for chain in chains)
    assert all(Sums().is_right(chain.answer, chain.gold or "") for chain in chains)
    assert not any(Sums().is_right(chain.answer, chain.gold or "") for chain in wrong)
    assert report == SampleReport.load(tmp_path)
    assert report.sampled == 90 == report.right + report.wrong + report.unsplittable


def test_the_embedded_model_writes_right_chains(tmp_path: Path) -> None:
    """A real model, sampled at a temperature, gives chains of its own that its task and is_right both call right."""
    task = WordProblems()
    questions = task.questions(limit=8, split="train")
    seen: list[Progress] = []
    report = sample(task, questions, TransformersEngine("tiny"), tmp_path, n=2, progress=seen.append, batch_questions=5)
    chains = load_chains(tmp_path / "chains.jsonl")
    assert len(chains) >= 5
    assert all(is_right(chain) for chain in chains)
    assert report.reasoning_tokens is not None
    assert 30 < report.reasoning_tokens < 90
    assert report.tokens_forwarded > 8 * 2 * 30
    assert [(each.done, each.total, each.kept) for each in seen] == [(5, 8, False), (8, 8, False)]
    # The batches are the same: a run that only reads them ends with the same chains.
    before = contents(tmp_path)
    assert sample(task, questions, TransformersEngine("tiny"), tmp_path, n=2, batch_questions=5) == report
    assert contents(tmp_path) == before


def run_script(*arguments: str | Path) -> int:
    """Run the sampling of the script in a process of its own; return how it ended."""
    # Imported rather than run as a file, so that its classes have one name.
    command = [sys.executable, "-c", "import scripted; scripted.main()", *map(str, arguments)]
    return subprocess.run(command, cwd=Path(__file__).parents[1], check=False, timeout=120).returncode


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(tmp_path: Path) -> None:
    """Killed in the model and in several writes, one after the other, the run ends as one that was never killed."""
    sample_sums(tmp_path / "whole", ScriptedEngine())
    for fate in ("generate:3", "write:4"):
        assert run_script(tmp_path / "killed", fate) == -signal.SIGKILL, fate
    assert run_script(tmp_path / "killed") == 0
    whole, killed = contents(tmp_path / "whole"), contents(tmp_path / "killed")
    assert set(FINAL) == set(whole)
    assert killed == whole


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n": 4}, r"asking\.n: before 3, now 4"),
        ({"temperature": 0.5}, r"asking\.temperature: before 0\.7, now 0\.5"),
        ({"seed": 1}, r"asking\.seed: before 0, now 1"),
        ({"max_new_tokens": 50}, r"asking\.max_new_tokens: before 40, now 50"),
        ({"prompt_format": "chat"}, "no chat template"),
        ({"task": Sums(largest=8)}, r"task\.parameters\.largest: before 9, now 8"),
        ({"questions": Sums().questions(limit=6)}, "number of questions: before 5, now 6"),
        ({"teacher": ScriptedEngine(name="other")}, r"model\.model_id: before \"scripted\", now \"other\""),
    ],
)
def test_a_folder_holds_one_run(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    """Anything else that changes the responses is refused in a folder that has some, and nothing there is touched."""
    questions = Sums().questions(limit=5)
    first: dict[str, Any] = {"task": Sums(), "questions": questions, "teacher": ScriptedEngine(), "n": 3}
    sample(out=tmp_path, **first)
    before = contents(tmp_path)
    with pytest.raises((ResumeError, TokenizationError), match=message):
        sample(out=tmp_path, **{**first, **change})
    assert contents(tmp_path) == before


def test_filters_may_change(tmp_path: Path) -> None:
    """Another length filter in the same folder filters anew, without asking the model."""
    questions = Sums().questions(limit=20)
    engine = ScriptedEngine()
    sample(Sums(), questions, engine, tmp_path, n=3)
    asked = len(engine.asked)
    kept = len(load_chains(tmp_path / "chains.jsonl"))
    with pytest.raises(
        DistillationError, match=rf"none of the {kept} questions .* \({kept} are short, .*min_characters"
    ):
        sample(Sums(), questions, engine, tmp_path, n=3, min_characters=1000)
    assert len((tmp_path / "dropped.jsonl").read_text(encoding="utf-8").splitlines()) == kept
    assert sample(Sums(), questions, engine, tmp_path, n=3).kept == kept
    assert len(engine.asked) == asked


def test_a_task_without_a_right_chain_is_an_error_after_everything_is_kept(tmp_path: Path) -> None:
    """Where no response is right, the error says how many are wrong and unsplit, and the files hold all of them."""
    engine = ScriptedEngine(lambda question: ["Let me see -> 99", "I cannot say."])
    questions = Sums().questions(limit=10)
    message = r"none of 20 responses to 10 questions is right \((\d+) are wrong, (\d+) cannot be split; .*'I cannot say"
    with pytest.raises(DistillationError, match=message):
        sample(Sums(), questions, engine, tmp_path, n=2)
    report = SampleReport.load(tmp_path)
    assert (report.sampled, report.right, report.kept, report.reasoning_tokens) == (20, 0, 0, None)
    wrong = (tmp_path / "wrong.jsonl").read_text(encoding="utf-8").splitlines()
    unsplit = [json.loads(line) for line in (tmp_path / "unsplit.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(wrong) + len(unsplit) == 20
    assert {record["response"] for record in unsplit} == {"I cannot say."}


def test_two_processes_do_not_share_a_folder(tmp_path: Path) -> None:
    """While a run is at work in a folder, another call is refused."""
    questions = Sums().questions(limit=5)

    def again(_: Progress) -> None:
        sample(Sums(), questions, ScriptedEngine(), tmp_path, n=3)

    with pytest.raises(ResumeError, match="another process is at work"):
        sample(Sums(), questions, ScriptedEngine(), tmp_path, n=3, progress=again)
