"""How questions are put to a model: what is refused before any work, in what rounds it is asked, what is judged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.distillation.scripted import ScriptedEngine, Sums
from tokimp.chains.datasets import SkippedRecord
from tokimp.contracts.task import Question
from tokimp.distillation.ask.ask import Asking, Interview
from tokimp.errors import ContextLengthError, DistillationError, TaskError, UnsupportedError
from tokimp.storage.batch_log import BatchLog
from tokimp.testing import AdditiveScorer

QUESTIONS = [Question(f"q{a}", f"{a}+1?", str(a + 1)) for a in range(6)]


def interview(engine: ScriptedEngine, asking: Asking) -> Interview:
    """Return an interview about sums."""
    return Interview(Sums(), engine, asking, "auto")


def test_all_responses_are_asked_for_at_once(tmp_path: Path) -> None:
    """With as many a round as in all, each question is asked once, whatever comes of it, batch by batch."""
    engine = ScriptedEngine()
    asking = Asking(n=4, per_round=4, temperature=0.7, batch_questions=4)
    held = interview(engine, asking)
    judged = held.hold(held.prepare(QUESTIONS), BatchLog(tmp_path))
    assert [len(responses) for responses in judged] == [4] * 6
    assert [(question, n) for question, n, _ in engine.asked] == [(question.text, 4) for question in QUESTIONS]
    seeds = [seed for _, _, seed in engine.asked]
    assert len(set(seeds)) == 2
    assert seeds == sorted(seeds, key=seeds.index)


def test_in_rounds_a_question_with_a_right_response_is_asked_no_more(tmp_path: Path) -> None:
    """Each round asks only what has no right response yet, until all n are written."""
    engine = ScriptedEngine(
        lambda question: ["-> 99"] if question.startswith("3") else [f"so -> {int(question[0]) + 1}", "-> 99"]
    )
    held = interview(engine, Asking(n=5, per_round=2, temperature=0.7))
    judged = held.hold(held.prepare(QUESTIONS), BatchLog(tmp_path))
    for question, responses in zip(QUESTIONS, judged, strict=True):
        rounds = [n for text, n, _ in engine.asked if text == question.text]
        assert rounds == [2, 2, 1][: len(rounds)]
        assert len(responses) == sum(rounds)
        before_last = responses[: sum(rounds[:-1])]
        assert not any(each.right for each in before_last)
        assert len(rounds) == 3 or any(each.right for each in responses)
    assert len(judged[3]) == 5


def test_what_the_log_has_is_not_asked_again(tmp_path: Path) -> None:
    """A second interview with the first one's log judges the same responses without the model."""
    asking = Asking(n=3, per_round=3, temperature=1.0, batch_questions=2)
    first = interview(ScriptedEngine(), asking)
    judged = first.hold(first.prepare(QUESTIONS), BatchLog(tmp_path))
    engine = ScriptedEngine()
    second = interview(engine, asking)
    assert second.hold(second.prepare(QUESTIONS), BatchLog(tmp_path)) == judged
    assert engine.asked == []


@pytest.mark.parametrize(
    ("asking", "message"),
    [
        (Asking(n=0), "n=0 is not allowed"),
        (Asking(n=2, per_round=3, temperature=1), r"per_round=3 is not allowed; .*n=2"),
        (Asking(temperature=-1), "temperature=-1 is not allowed"),
        (Asking(n=2, per_round=1), "at temperature 0 all 2 responses are one and the same"),
        (Asking(max_new_tokens=0), "max_new_tokens=0 is not allowed"),
        (Asking(batch_questions=0), "batch_questions=0 is not allowed"),
    ],
)
def test_settings_that_make_no_sense_are_refused(asking: Asking, message: str) -> None:
    """A value out of its range is refused by name, and so are many responses at temperature 0."""
    with pytest.raises(DistillationError, match=message):
        interview(ScriptedEngine(), asking)


def test_a_question_that_cannot_be_asked_is_refused_or_left_out() -> None:
    """A prompt that fills the context is an error before any work, or, where asked for, left out with its reason."""
    engine = ScriptedEngine(context_length=12)
    held = interview(engine, Asking())
    long = Question("long", "1+1" * 20, "2")
    with pytest.raises(ContextLengthError, match=r"question 'long': \d+ tokens and one to write, but .* at most 12"):
        held.prepare([*QUESTIONS, long])
    skipped: list[SkippedRecord] = []
    assert [question for question, _ in held.prepare([*QUESTIONS, long], skipped)] == QUESTIONS
    assert [record.id for record in skipped] == ["long"]
    with pytest.raises(DistillationError, match=r"there is no question to ask: question 'long'"):
        held.prepare([long], [])
    with pytest.raises(DistillationError, match="there is no question to ask; check the source"):
        held.prepare([])
    with pytest.raises(DistillationError, match="two questions have the id 'q2'"):
        held.prepare([*QUESTIONS, QUESTIONS[2]])


def test_a_model_that_does_not_write_is_refused() -> None:
    """A scorer without generation is refused by its backend's name."""
    with pytest.raises(UnsupportedError, match="does not generate"):
        Interview(Sums(), AdditiveScorer(), Asking(), "plain")


@pytest.mark.parametrize(
    "broken",
    [lambda task: setattr(task, "split", lambda _: 1 / 0), lambda task: setattr(task, "split", lambda _: ("a",))],
)
def test_a_task_that_fails_says_on_what(tmp_path: Path, broken: Callable[[Sums], None]) -> None:
    """What a stranger's task raises becomes an error that names the question and the response."""
    task = Sums()
    broken(task)
    held = Interview(task, ScriptedEngine(), Asking(), "auto")
    with pytest.raises(TaskError, match=r"question 'q0': the task 'sums' failed on the response '.*-> 1' \("):
        held.hold(held.prepare(QUESTIONS), BatchLog(tmp_path))
    # What the model wrote is kept: with the task mended it is judged, and the model is not asked again.
    engine = ScriptedEngine()
    mended = Interview(Sums(), engine, Asking(), "auto")
    assert len(mended.hold(mended.prepare(QUESTIONS), BatchLog(tmp_path))) == len(QUESTIONS)
    assert engine.asked == []
