"""How questions are put to a model: what is refused before any work, in what rounds it is asked, what is judged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.distillation.scripted import ScriptedEngine, Sums
from tokimp.chains.datasets import SkippedRecord
from tokimp.contracts.task import Question
from tokimp.distillation.ask.ask import Asker
from tokimp.distillation.ask.settings import AskSettings
from tokimp.errors import ContextLengthError, DistillationError, TaskError, UnsupportedError
from tokimp.storage.batch_log import BatchLog
from tokimp.testing import AdditiveScorer

QUESTIONS = [Question(f"q{a}", f"{a}+1?", str(a + 1)) for a in range(6)]


def asker_of(engine: ScriptedEngine, settings: AskSettings) -> Asker:
    """Return what puts sums to a model."""
    return Asker(Sums(), engine, settings, "auto")


def test_all_responses_are_asked_for_at_once(tmp_path: Path) -> None:
    """With as many a round as in all, each question is asked once, whatever comes of it, batch by batch."""
    engine = ScriptedEngine()
    settings = AskSettings(n=4, per_round=4, temperature=0.7, batch_questions=4)
    asker = asker_of(engine, settings)
    judged = asker.ask_all(asker.prepare(QUESTIONS), BatchLog(tmp_path))
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
    asker = asker_of(engine, AskSettings(n=5, per_round=2, temperature=0.7))
    judged = asker.ask_all(asker.prepare(QUESTIONS), BatchLog(tmp_path))
    for question, responses in zip(QUESTIONS, judged, strict=True):
        rounds = [n for text, n, _ in engine.asked if text == question.text]
        assert rounds == [2, 2, 1][: len(rounds)]
        assert len(responses) == sum(rounds)
        before_last_round = responses[: sum(rounds[:-1])]
        assert not any(response.right for response in before_last_round)
        assert len(rounds) == 3 or any(response.right for response in responses)
    assert len(judged[3]) == 5


def test_what_the_log_has_is_not_asked_again(tmp_path: Path) -> None:
    """A second asker with the first one's log judges the same responses without the model."""
    settings = AskSettings(n=3, per_round=3, temperature=1.0, batch_questions=2)
    first = asker_of(ScriptedEngine(), settings)
    judged = first.ask_all(first.prepare(QUESTIONS), BatchLog(tmp_path))
    engine = ScriptedEngine()
    second = asker_of(engine, settings)
    assert second.ask_all(second.prepare(QUESTIONS), BatchLog(tmp_path)) == judged
    assert engine.asked == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (AskSettings(n=0), "n=0 is not allowed"),
        (AskSettings(n=2, per_round=3, temperature=1), r"per_round=3 is not allowed; .*n=2"),
        (AskSettings(temperature=-1), "temperature=-1 is not allowed"),
        (AskSettings(n=2, per_round=1), "at temperature 0 all 2 responses are one and the same"),
        (AskSettings(max_new_tokens=0), "max_new_tokens=0 is not allowed"),
        (AskSettings(batch_questions=0), "batch_questions=0 is not allowed"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: AskSettings, message: str) -> None:
    """A value out of its range is refused by name, and so are many responses at temperature 0."""
    with pytest.raises(DistillationError, match=message):
        asker_of(ScriptedEngine(), settings)


def test_a_question_that_cannot_be_asked_is_refused_or_left_out() -> None:
    """A prompt that fills the context is an error before any work, or, where asked for, left out with its reason."""
    engine = ScriptedEngine(context_length=12)
    asker = asker_of(engine, AskSettings())
    long = Question("long", "1+1" * 20, "2")
    with pytest.raises(ContextLengthError, match=r"question 'long': \d+ tokens and one to write, but .* at most 12"):
        asker.prepare([*QUESTIONS, long])
    skipped: list[SkippedRecord] = []
    assert [question for question, _ in asker.prepare([*QUESTIONS, long], skipped)] == QUESTIONS
    assert [(record.id, record.where) for record in skipped] == [("long", "question 'long'")]
    assert "question" not in skipped[0].reason
    with pytest.raises(DistillationError, match=r"there is no question to ask: question 'long'"):
        asker.prepare([long], [])
    with pytest.raises(DistillationError, match="there is no question to ask; check the source"):
        asker.prepare([])
    with pytest.raises(DistillationError, match="two questions have the id 'q2'"):
        asker.prepare([*QUESTIONS, QUESTIONS[2]])


def test_a_model_that_does_not_write_is_refused() -> None:
    """A scorer without generation is refused by its backend's name."""
    with pytest.raises(UnsupportedError, match="does not generate"):
        Asker(Sums(), AdditiveScorer(), AskSettings(), "plain")


@pytest.mark.parametrize(
    "broken",
    [lambda task: setattr(task, "split", lambda _: 1 / 0), lambda task: setattr(task, "split", lambda _: ("a",))],
)
def test_a_task_that_fails_says_on_what(tmp_path: Path, broken: Callable[[Sums], None]) -> None:
    """What a stranger's task raises becomes an error that names the question and the response."""
    task = Sums()
    broken(task)
    asker = Asker(task, ScriptedEngine(), AskSettings(), "auto")
    with pytest.raises(TaskError, match=r"question 'q0': the task 'sums' failed on the response '.*-> 1' \("):
        asker.ask_all(asker.prepare(QUESTIONS), BatchLog(tmp_path))
    # What the model wrote is kept: with the task mended it is judged, and the model is not asked again.
    engine = ScriptedEngine()
    mended = Asker(Sums(), engine, AskSettings(), "auto")
    assert len(mended.ask_all(mended.prepare(QUESTIONS), BatchLog(tmp_path))) == len(QUESTIONS)
    assert engine.asked == []
